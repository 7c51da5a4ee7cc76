/** Loaded before the program: it answers each message of the parent with the files that the program has loaded so far. */
process.on("message", () => process.send?.(Object.keys(require.cache)));
