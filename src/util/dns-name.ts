/** Whether a name is one of SRV records: its first label has an underscore (RFC 2782), as in `_http._tcp.engines`. */
export function isServiceName(host: string): boolean {
  return host.startsWith("_");
}
