/** Most that `grpc-timeout` can say is eight digits. */
const MAX_TIMEOUT_DIGITS = 100_000_000;

/** The time that is left, as `grpc-timeout` says it; `undefined` where there is no bound. */
export function grpcTimeout(leftMs: number): string | undefined {
  if (!Number.isFinite(leftMs)) return undefined;
  const ms = Math.max(1, Math.ceil(leftMs));
  if (ms < MAX_TIMEOUT_DIGITS) return `${ms}m`;
  return `${Math.min(Math.ceil(ms / 1000), MAX_TIMEOUT_DIGITS - 1)}S`;
}

/** `grpc-message` as it was meant: bytes outside printable ASCII come as `%XX`; what is not such an escape stays. */
export function decodeGrpcMessage(text: string): string {
  if (!text.includes("%")) return text;
  const source = Buffer.from(text, "utf8");
  // One character a byte, so that both have the same indices.
  const characters = source.toString("latin1");
  const bytes = Buffer.allocUnsafe(source.length);
  let length = 0;
  for (let at = 0; at < source.length; at += 1, length += 1) {
    const escaped = source[at] === PERCENT ? HEX_PAIR.exec(characters.slice(at + 1, at + 3)) : null;
    bytes[length] = escaped ? Number.parseInt(escaped[0], 16) : (source[at] ?? 0);
    if (escaped) at += 2;
  }
  return bytes.toString("utf8", 0, length);
}

const PERCENT = 0x25;
const HEX_PAIR = /^[0-9a-fA-F]{2}$/;
