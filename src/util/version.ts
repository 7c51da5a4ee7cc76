import manifest from "../../package.json" with { type: "json" };

/** Of this gateway, as in its package. */
export const VERSION: string = manifest.version;

/** What workers are told of who asks, where it is not a client (RFC 9110, section 10.1.5): some proxies turn away who says nothing. */
export const USER_AGENT = `pointsman/${VERSION}`;
