const TAGS_TOLD_MAX = 5;

/** What is said of an image that is not held, where others of its repository may be. */
export function notHeldText(tags: readonly string[]): string {
  const all = [...new Set(tags)].toSorted();
  if (all.length === 0) return "not held";
  const more = all.length > TAGS_TOLD_MAX ? `, and ${all.length - TAGS_TOLD_MAX} more` : "";
  return `not held, but these tags are: ${all.slice(0, TAGS_TOLD_MAX).join(", ")}${more}`;
}
