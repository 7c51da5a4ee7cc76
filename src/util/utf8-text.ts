const decoder = new TextDecoder("utf-8", { fatal: true });

/** The text of a file, without the mark that some editors put before it; undefined where the bytes are not UTF-8. */
export function utf8Text(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}
