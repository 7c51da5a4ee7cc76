/**
 * A value that is made at its first use and kept. With `require` it loads a module where a feature is on, and at once, where code cannot
 * wait for `import()`: `lazy((): typeof Types => require("./module.ts"))` with `import type * as Types from "./module.ts"`. Bun can
 * `require` any module whose body does not await.
 */
export function lazy<T extends object>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
