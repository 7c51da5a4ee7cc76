/** The whole body of an answer; undefined where it is larger than `most` bytes. The rest is not read then. */
export async function boundedText({ body }: Pick<Response, "body">, most: number): Promise<string | undefined> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of body ?? []) {
    size += piece.length;
    if (size > most) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}
