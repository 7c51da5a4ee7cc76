import manifest from "../../package.json" with { type: "json" };

/** Of this gateway, as in its package. */
export const VERSION: string = manifest.version;
