/** Numbers of a version, the most important first: `[0, 27]` for 0.27. */
export type VersionNumbers = readonly number[];

/** What builds from a source tree without tags call themselves. */
const UNTAGGED = /^0\.[01](?:\.0)?\.dev/;

/** Whether an engine is older than this version. An engine that does not say its version, or says none with a meaning, is not. */
export function isOlder(version: string | undefined, than: VersionNumbers): boolean {
  if (version === undefined || UNTAGGED.test(version)) return false;
  const numbers = /^v?(\d+(?:\.\d+)*)/.exec(version)?.[1]?.split(".").map(Number);
  if (!numbers) return false;
  const at = than.findIndex((number, index) => number !== (numbers[index] ?? 0));
  return at >= 0 && (numbers[at] ?? 0) < (than[at] ?? 0);
}
