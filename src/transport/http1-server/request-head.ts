import { GatewayError } from "../../errors/errors.ts";
import { type ClientRequest, RequestHeaders } from "../downstream.ts";
import { BodyFramer, framerOf } from "../http1/body-framer.ts";
import { isKeptAlive, readFields } from "../http1/fields.ts";

/** Longest head of a request (request line and headers). */
export const MAX_HEAD_BYTES = 16_384;
const MAX_FIELDS = 200;

export interface RequestHead extends Pick<ClientRequest, "method" | "path" | "query" | "headers" | "hasBody"> {
  /** The client may be sent chunks and informational answers. */
  readonly isHttp11: boolean;
  /** The connection may carry another request after this one. */
  readonly keepAlive: boolean;
  /** The client waits for leave to send the body. */
  readonly expectsContinue: boolean;
  readonly framer: BodyFramer;
}

/**
 * Reads a request's head without its blank line (RFC 9112; RFC 9110, section 10.1.1). What two readers could take for different requests is refused:
 * throws malformed_request, bad_host, headers_too_large, unsupported_http_version.
 */
export function readRequestHead(head: string): RequestHead {
  const lines = head.split("\r\n");
  if (lines.length - 1 > MAX_FIELDS)
    throw new GatewayError("headers_too_large", `more than ${MAX_FIELDS} header fields`);
  const [, method = "", target = "", version = ""] = REQUEST_LINE.exec(lines[0] ?? "") ?? [];
  if (method === "") throw malformed("bad request line");
  if (version !== "1.1" && version !== "1.0") {
    throw new GatewayError("unsupported_http_version", "only HTTP/1.1 and HTTP/1.0 are spoken here");
  }
  const isHttp11 = version === "1.1";
  const fields = readFields(lines, 1, malformed);
  // HTTP/1.0 did not have it: probes of load balancers still come without.
  const host = fields.get("host") ?? (isHttp11 ? "" : "none");
  if (!HOST.test(host)) throw new GatewayError("bad_host", "the Host header is not a host name");
  // A whole URL would name the host once more (RFC 9112, section 3.2.2), and who routes by which is what tricks are made of.
  if (!target.startsWith("/")) throw malformed("the target is not a path");
  const mark = target.indexOf("?");
  const framer = framingOf(fields, isHttp11);
  return {
    method,
    path: mark < 0 ? target : target.slice(0, mark),
    query: mark < 0 ? "" : target.slice(mark + 1),
    headers: new RequestHeaders(fields),
    isHttp11,
    keepAlive: isKeptAlive(fields, isHttp11),
    expectsContinue: isHttp11 && fields.get("expect")?.toLowerCase() === "100-continue",
    hasBody: !framer.isDone,
    framer,
  };
}

export function malformed(what: string): GatewayError {
  return new GatewayError("malformed_request", `the request is not valid HTTP: ${what}`);
}

function framingOf(fields: ReadonlyMap<string, string>, isHttp11: boolean): BodyFramer {
  // HTTP/1.0 knows no chunks.
  if (!isHttp11 && fields.has("transfer-encoding")) throw malformed("unknown transfer encoding");
  return framerOf(fields, malformed) ?? BodyFramer.ofLength(0, malformed);
}

const REQUEST_LINE = /^([A-Z]{1,24}) ([\u0021-\u007e]+) HTTP\/([0-9]\.[0-9])$/;
/** A Host with a path, a query or user in it makes other URLs of the same request for whoever puts the two together. */
const HOST = /^(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/;
