import type { Finished } from "../lib/processes.ts";

/** One transfer as curl's `--write-out` told it. */
export interface Transfer {
  readonly status: number;
  readonly bytes: number;
  readonly firstByteSeconds: number;
  readonly seconds: number;
}

const FORMAT = "%{http_code} %{size_download} %{time_starttransfer} %{time_total}\\n";

/** For GETs whose bodies go nowhere; several URLs are fetched at once, each on a connection of its own. */
export function curlArguments(urls: readonly string[], more: readonly string[] = []): string[] {
  const parallel = ["--parallel", "--parallel-immediate", "--parallel-max", String(urls.length)];
  const quiet = ["--silent", "--no-progress-meter", "--write-out", FORMAT];
  return [...quiet, ...(urls.length > 1 ? parallel : []), ...more, ...urls.flatMap((url) => ["-o", "/dev/null", url])];
}

export function parseTransfers(stdout: string): Transfer[] {
  const lines = stdout.split("\n").filter((line) => /^\d{3} [\d.]+ [\d.]+ [\d.]+$/.test(line));
  return lines.map((line) => {
    const [status = 0, bytes = 0, firstByteSeconds = 0, seconds = 0] = line.split(" ").map(Number);
    return { status, bytes, firstByteSeconds, seconds };
  });
}

/** The transfers, all of them whole. */
export function wholeTransfers({ stdout, stderr }: Finished, count: number, bytes: number): Transfer[] {
  const transfers = parseTransfers(stdout);
  const whole = transfers.filter((one) => one.status === 200 && one.bytes === bytes);
  if (whole.length !== count) {
    const others = transfers.filter((one) => !whole.includes(one)).slice(0, 3);
    throw new Error(
      `${whole.length} of ${count} transfers were whole; ${JSON.stringify(others)} ${stderr.slice(0, 500)}`,
    );
  }
  return whole;
}
