import type { Config } from "../config/schema.ts";
import { GatewayError } from "../errors/errors.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import { wallNow } from "../observability/recorded-request.ts";
import { Recording } from "../observability/recording.ts";
import { blocksEnd, MAX_BLOCKS } from "../policy/prefix-blocks.ts";
import { errorMessage } from "../util/error-message.ts";

interface OpenRecordingParts {
  readonly config: Pick<Config, "record" | "recordMaxMb">;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Opens the file of `record`, if the configuration has one; `stack` closes it. Throws invalid_request if it cannot be made. */
export async function openRecording(
  { config: { record: path, recordMaxMb }, logger, metrics }: OpenRecordingParts,
  stack: AsyncDisposableStack,
): Promise<Recording | undefined> {
  if (path === undefined) return undefined;
  const blockEnds = Array.from({ length: MAX_BLOCKS }, (_, block) => blocksEnd(block + 1));
  try {
    const maxBytes = recordMaxMb * 1e6;
    return stack.use(await Recording.open({ path, maxBytes, blockEnds, logger, metrics, wallNow }));
  } catch (cause) {
    throw new GatewayError("invalid_request", `record ${path}: ${errorMessage(cause)}`, { cause });
  }
}
