/** What package.json's `engines` says, in numbers; older ones lack what the code builds on. */
const OLDEST = { major: 24, minor: 15 };
const NEXT_MAJOR = 26;

/** The text for a terminal when this Node.js cannot run the cache; undefined where it can. Imports nothing, on purpose. */
export function versionProblem(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major >= NEXT_MAJOR || (major === OLDEST.major && minor >= OLDEST.minor)) return undefined;
  return (
    `error: registry-cache needs Node.js ${OLDEST.major}.${OLDEST.minor} or later of ${OLDEST.major}.x, or ${NEXT_MAJOR}; this is ${version}\n` +
    "hint: install a newer Node.js and start it again; from a checkout, `make start` fetches one by itself\n"
  );
}
