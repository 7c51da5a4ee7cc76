import { GatewayError } from "../errors/errors.ts";

/**
 * Paths of OpenAI's API, or Azure's, that are not built here, with all below them; of one that ends with a slash only those below, as a route
 * has the path itself, if on another port. The first that matches counts. The answer names the missing API.
 */
const UNBUILT: readonly (readonly [path: string, what: string])[] = [
  ["/v1/audio", "speech and transcription are not built"],
  ["/v1/images", "images are not built"],
  ["/v1/videos", "videos are not built"],
  ["/v1/files", "files are not built"],
  ["/v1/uploads", "uploads are not built"],
  ["/v1/batches", "batches are not built"],
  ["/v1/messages/batches", "batches are not built"],
  ["/v1/conversations", "stored conversations are not built: send the conversation with each request"],
  ["/v1/responses/compact", "compaction of conversations is not built"],
  ["/v1/responses/", "stored responses are not built: send the conversation with each request"],
  ["/v1/chat/completions/", "stored chat completions are not built"],
  ["/v1/assistants", "assistants are not built"],
  ["/v1/threads", "assistants are not built"],
  ["/v1/vector_stores", "vector stores are not built"],
  ["/v1/fine_tuning", "fine-tuning is not built"],
  ["/v1/evals", "evaluations are not built"],
  ["/v1/containers", "containers are not built"],
  ["/v1/skills", "skills are not built"],
  ["/v1/chatkit", "ChatKit is not built"],
  ["/v1/moderations", "moderations are not built"],
  ["/v1/realtime", "the realtime API is not built"],
  ["/openai/deployments", "Azure's paths are not built: use /v1/chat/completions and name the model in the body"],
];

/** Longest path that an answer repeats, characters. */
const MAX_SHOWN = 200;

/** The error for an unknown route: not_implemented where the API is known, otherwise unknown_url. */
export function unknownRoute(path: string): GatewayError {
  const known = UNBUILT.find(([unbuilt]) =>
    unbuilt.endsWith("/") ? isBelow(path, unbuilt) : path === unbuilt || isBelow(path, `${unbuilt}/`),
  );
  if (known) return new GatewayError("not_implemented", known[1]);
  const shown = path.length > MAX_SHOWN ? `${path.slice(0, MAX_SHOWN)}...` : path;
  return new GatewayError("unknown_url", `there is no route ${JSON.stringify(shown)}`);
}

/** Whether something that is no further slash follows the folder. */
function isBelow(path: string, folder: string): boolean {
  return path.startsWith(folder) && path.length > folder.length && path[folder.length] !== "/";
}
