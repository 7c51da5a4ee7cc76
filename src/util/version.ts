import manifest from "../../package.json" with { type: "json" };

/** Version of this gateway, from its package. */
export const VERSION: string = manifest.version;

/** The `user-agent` of the gateway's own requests to workers (RFC 9110, section 10.1.5): some proxies refuse requests without one. */
export const USER_AGENT = `pointsman/${VERSION}`;
