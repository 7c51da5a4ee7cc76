import { realpath, stat } from "node:fs/promises";
import { resolve, sep } from "node:path";
import { GatewayError } from "../../errors/errors.ts";

/** Longest file of text that a path of the API may name, bytes; chat templates are some 10 kB. */
const MAX_TEXT_BYTES = 1024 * 1024;

/**
 * Resolves paths that callers of the API name, and allows only those below one folder, which the operator chose. The gateway may
 * read files that its caller may not, and their contents would come out as text and tokens.
 */
export class FolderOfPaths {
  readonly #folder: string | undefined;

  /** Without a folder every path is refused. */
  constructor(folder: string | undefined) {
    this.#folder = folder;
  }

  /**
   * The real path, with links followed. A relative `path` begins at the folder. Throws invalid_request with `param`; the error is
   * equal for paths outside of the folder that exist and that do not.
   */
  async resolve(path: string, param: string): Promise<string> {
    const folder = this.#folder;
    if (folder === undefined) throw refused("no path is taken over the API: set `tokenizer_folder`", param);
    const root = await realpath(folder).catch((cause: unknown) => {
      throw refused("`tokenizer_folder` is not there", param, cause);
    });
    const wanted = resolve(root, path);
    const real = await realpath(wanted).catch(() => wanted);
    if (real !== root && !real.startsWith(root + sep))
      throw refused("the path must be below `tokenizer_folder`", param);
    return real;
  }

  /** The text of a file. Throws invalid_request if it is not a file, cannot be read, or is too long. */
  async text(path: string, param: string): Promise<string> {
    const real = await this.resolve(path, param);
    const found = await stat(real).catch((cause: unknown) => {
      throw refused("the file cannot be read", param, cause);
    });
    if (!found.isFile()) throw refused("that is no file", param);
    if (found.size > MAX_TEXT_BYTES) throw refused(`the file is longer than ${MAX_TEXT_BYTES} bytes`, param);
    return Bun.file(real)
      .text()
      .catch((cause: unknown) => {
        throw refused("the file cannot be read", param, cause);
      });
  }
}

function refused(message: string, param: string, cause?: unknown): GatewayError {
  return new GatewayError("invalid_request", message, { param, cause });
}
