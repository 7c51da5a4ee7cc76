/** What each field of the access line says, in the order of the line. `docs/logs.md` is made from it; a field without a value is left out of the line. */
export const ACCESS_FIELDS = {
  request_id: "the client's id where it sent a valid one, otherwise the gateway's; also the answer's `x-request-id`",
  endpoint: "the route, named as in [metrics](metrics.md)",
  key: "name of the caller's [key](keys.md); not there where the gateway has no keys, and where the key is wrong",
  model:
    "the model that was asked: the client's name for it, or the model of a [route](model-routes.md); only once a worker is known to serve it",
  route: "the client's name for the model, where it is the name of a route",
  failed_models: "the models of the route that could not answer, each with `model` and `code`",
  worker: "id of the worker that answered; with prefill and decode on two workers, the decode worker",
  worker_url: "its address",
  prefill_worker: "id of the prefill worker, where it is another one",
  prefill_worker_url: "its address",
  policy: "the policy that chose the worker; with two workers both policies, joined by `+`",
  attempts: "number of workers that were tried; 0 where the request was refused before",
  failed: "the attempts that failed, each with `url` and `code`",
  status: "HTTP status of the answer; 499 where the client left",
  error: "code of the [errors table](errors.md), where the request ended with an error",
  stream: "whether the client asked for a stream",
  ttft_ms: "from the request's beginning to the first event of a stream",
  predicted_ttft_ms:
    "time from the send to the first token that the policy expected at the worker that answered, where it says so. `ttft_ms` also has what came before the send",
  prompt_tokens: "tokens of the prompt, as the worker counted them, where it reported them",
  completion_tokens: "generated tokens, likewise",
  cached_tokens: "tokens of the prompt that were in the worker's prefix cache, likewise",
  duration_ms: "from the request's beginning to its end",
} as const;

/** An access line: a member for each field, and no other. */
export type AccessLine = Readonly<Record<keyof typeof ACCESS_FIELDS, unknown>>;
