/** The answer of a stream. */
export interface StreamedAnswer {
  readonly text: string;
  /** When the first text came; undefined where none did. */
  readonly firstAt: number | undefined;
  /** The end marker came. */
  readonly isWhole: boolean;
}

const DATA = "data: ";
const decoder = new TextDecoder();

/** Reads a stream of chat events to its end. Throws where the connection breaks. */
export async function readStream(response: Response): Promise<StreamedAnswer> {
  if (response.status !== 200 || !response.body) {
    await response.body?.cancel();
    return { text: "", firstAt: undefined, isWhole: false };
  }
  let [text, rest, isWhole] = ["", "", false];
  let firstAt: number | undefined;
  for await (const chunk of response.body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (!line.startsWith(DATA)) continue;
      const data = line.slice(DATA.length).trim();
      if (data === "[DONE]") isWhole = true;
      else text += contentOf(data);
      if (firstAt === undefined && text !== "") firstAt = performance.now();
    }
  }
  return { text, firstAt, isWhole };
}

function contentOf(data: string): string {
  const event = JSON.parse(data) as {
    readonly choices?: readonly { readonly delta?: { readonly content?: string } }[];
  };
  return event.choices?.[0]?.delta?.content ?? "";
}
