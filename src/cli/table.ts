/** Columns of a table; all but the first are as wide as what stands in them. */
export interface Column {
  readonly title: string;
  readonly isNumber?: boolean;
}

/** Columns are parted by so many spaces. */
const GAP = 2;
/** The first column is not made narrower, however narrow the terminal is. */
const FIRST_MIN = 20;
/** What is longer in the last column does not make the first one narrower: it is cut. */
const LAST_MAX = 20;

/** Lines with their ends; where there is a width, the first column gives way, from its beginning on, and the last is cut. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number | undefined,
): string[] {
  const widths = columns.map(({ title }, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const others = widths
    .slice(1)
    .reduce((sum, one, at) => sum + GAP + (at === widths.length - 2 ? Math.min(one, LAST_MAX) : one), 0);
  const [first = 0] = widths;
  if (width !== undefined) widths[0] = Math.min(first, Math.max(FIRST_MIN, width - others));
  const all = [columns.map(({ title }) => title), ...rows];
  return all.map((row) => {
    const cells = row.map((text, at) =>
      padded(at === 0 ? shortened(text, widths[0] ?? 0) : text, widths[at] ?? 0, columns[at]),
    );
    const line = cells.join(" ".repeat(GAP)).trimEnd();
    return width === undefined ? line : line.slice(0, width);
  });
}

function padded(text: string, width: number, column: Column | undefined): string {
  return column?.isNumber === true ? text.padStart(width) : text.padEnd(width);
}

/** The end of a name tells more than its beginning. */
function shortened(text: string, width: number): string {
  return text.length <= width ? text : `...${text.slice(3 - width)}`;
}
