import type { Endpoint } from "../../src/protocol/endpoint.ts";
import { type EndpointName, ENDPOINTS, PARSE_ENDPOINTS } from "../../src/protocol/endpoints.ts";

/** The row of this name; the first one where several paths share it. */
export function endpointNamed(name: EndpointName): Endpoint<EndpointName> {
  return found(
    name,
    [...ENDPOINTS, ...PARSE_ENDPOINTS].find((endpoint) => endpoint.name === name),
  );
}

export function endpointAt(path: string): Endpoint<EndpointName> {
  return found(
    path,
    [...ENDPOINTS, ...PARSE_ENDPOINTS].find((endpoint) => endpoint.path === path),
  );
}

function found(what: string, endpoint: Endpoint<EndpointName> | undefined): Endpoint<EndpointName> {
  if (!endpoint) throw new Error(`there is no endpoint ${what}`);
  return endpoint;
}
