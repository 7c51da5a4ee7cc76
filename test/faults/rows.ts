/** One fault of the matrix that docs/faults.md shows. */
export interface FaultRow {
  readonly row: number;
  /** What goes wrong. */
  readonly fault: string;
  /** What the gateway is held to; or `reason`, where the fault cannot happen to it. */
  readonly expected?: string;
  /** Why there is nothing to test: no test may name the row then. */
  readonly reason?: string;
  /** Where the gateway does less than is asked, and why. */
  readonly deviation?: string;
}

export interface FaultSection {
  readonly title: string;
  readonly rows: readonly FaultRow[];
}

const NO_STORE =
  "no state of requests is kept outside the process: no stored responses, no background responses, no shared limits";
const NO_MCP = "there is no MCP client";

const WORKERS: readonly FaultRow[] = [
  {
    row: 1,
    fault: "a worker refuses the connection",
    expected:
      "another worker answers, in two attempts and less than 100 ms more; alone it is 502 in each API, and after three the worker counts as down",
  },
  {
    row: 2,
    fault: "a worker's accept queue is full: a connection is neither taken nor refused",
    expected: "given up after the connect timeout, then elsewhere; alone 504 within the same bound",
  },
  {
    row: 3,
    fault: "a worker closes the connection without a byte",
    expected: "502, at most two workers asked, code `upstream_closed`",
  },
  {
    row: 4,
    fault: "a worker resets the connection after it read the request",
    expected: "as row 3; with retries off exactly one generation",
  },
  {
    row: 5,
    fault: "a worker breaks off within the head",
    expected: "502 in each API; after a thousand of them the same process serves and no socket is left",
  },
  {
    row: 6,
    fault: "a stream is reset",
    expected:
      "what came is delivered once, then one error event and no end marker; one attempt; one fault for the breaker",
  },
  { row: 7, fault: "a stream ends within a chunk", expected: "as row 6, code `upstream_truncated`" },
  {
    row: 8,
    fault: "a stream ends in order without its end marker",
    expected: "as row 7; where `finish_reason` had come, the marker is added and counted, and it is no fault",
  },
  {
    row: 9,
    fault: "a body is shorter than its Content-Length",
    expected: "502, at most two attempts, and nothing of the body reaches the client",
  },
  {
    row: 10,
    fault: "a body is longer than its Content-Length",
    expected: "502 where it does not parse; the rest is never part of another answer",
  },
  { row: 11, fault: "a worker sends a length and chunks, or two lengths", expected: "502 and the socket is closed" },
  { row: 12, fault: "a chunk size that is none", expected: "502 before the first byte, an error event after it" },
  {
    row: 13,
    fault: "a worker reads the request and says nothing",
    expected:
      "504 at the first-byte timeout within 250 ms, the connection closed within 100 ms after; one deadline over both attempts",
  },
  {
    row: 14,
    fault: "a worker falls silent within a stream",
    expected:
      "an error event at the idle timeout; a token now and then is not cut; clients hear a comment or `ping` meanwhile",
  },
  {
    row: 15,
    fault: "a stream comes a byte at a time",
    expected: "whole events, none lost, at most two writes an event, none held back by 50 ms",
  },
  {
    row: 16,
    fault: "a worker says 500 with its own paths in the message",
    expected: "500 in our words, not tried again, and one client's do not open a breaker",
  },
  {
    row: 17,
    fault: "a worker says 503 with Retry-After",
    expected:
      "once elsewhere; it rests for as long as it said; when all rest, 503 (529) with the shortest rest as Retry-After, at most 120",
  },
  { row: 18, fault: "a worker says 429 with Retry-After", expected: "as row 17: 429 is for a client's own limit only" },
  {
    row: 19,
    fault: "a worker says 401 or 403",
    expected: "502 in each API, a warning of its own in the log, and the worker is out",
  },
  {
    row: 20,
    fault: "a worker does not know the model that it is asked for",
    expected: "once elsewhere, the worker is asked anew what it serves; 404 only if nobody has it",
  },
  {
    row: 21,
    fault: "a worker says 400 in vLLM's shape",
    expected: "the same in the client's API, with message and `param`, never a numeric code",
  },
  {
    row: 22,
    fault: "an error where a stream was asked for",
    expected: "its status, as JSON, whatever the worker called it",
  },
  {
    row: 23,
    fault: "JSON where a stream was asked for",
    expected: "one event or 502, never JSON labelled as a stream",
  },
  {
    row: 24,
    fault: "a stream where JSON was asked for",
    expected: "one answer or 502, never a stream labelled as JSON",
  },
  { row: 25, fault: "200 with a page", expected: "502, nothing of it relayed" },
  { row: 26, fault: "200 with JSON that is cut", expected: "502, and a fault for the breaker" },
  {
    row: 27,
    fault: "an event whose data is not JSON",
    expected: "the events before it are kept, then an error event; counted",
  },
  {
    row: 28,
    fault: "an engine tells of an error within its stream",
    expected: "told in the API's own shape, no end marker, and a fault for the breaker",
  },
  { row: 29, fault: "data behind the end marker", expected: "nothing passes it, and the socket is not used again" },
  {
    row: 30,
    fault: "the many forms of an event stream, split at each byte",
    expected: "the same events and text for the client",
  },
  {
    row: 31,
    fault: "a line of 64 MB without an end",
    expected: "cut at 4 MiB with an error event; at most 16 MiB more memory",
  },
  { row: 32, fault: "a head of 200 kB or of 5,000 headers", expected: "502, none of it relayed" },
  { row: 33, fault: "CR, LF, NUL or a fold in a header's value", expected: "502, and no header comes of it" },
  { row: 34, fault: "hop-by-hop and internal headers", expected: "only listed headers reach the client" },
  { row: 35, fault: "two cookies", expected: "dropped" },
  {
    row: 36,
    fault: "an encoded answer that nobody asked for",
    expected: "workers are asked for `identity`; what comes encoded is decoded or 502",
  },
  { row: 37, fault: "200 MB packed small, a thousand layers", expected: "502, at most 32 MiB more memory" },
  { row: 38, fault: "a redirect", expected: "502, and not one connection to its target" },
  { row: 39, fault: "a thousand informational answers", expected: "up to 32 are skipped, more are 502" },
  { row: 40, fault: "an upgrade that nobody asked for", expected: "502 and the socket is closed" },
  {
    row: 41,
    fault: "a worker is killed under load and comes back at the same address",
    expected:
      "only what it had in hand is lost; back within a check and a second; its breaker is closed and its prefix cache forgotten",
  },
  {
    row: 42,
    fault: "all workers are down",
    expected: "503 (529) with Retry-After within 20 ms; liveness 200, readiness 503",
  },
  {
    row: 43,
    fault: "a worker that is up and down by turns",
    expected: "fewer than 5 % of requests fail, it is left out for longer each time, at most a line a turn",
  },
  {
    row: 44,
    fault: "50 requests when a breaker is half open",
    expected: "one proves the worker, 49 go elsewhere; it closes after enough of them",
  },
  {
    row: 45,
    fault: "nine of ten workers fail",
    expected: "never `no_available_workers`; soon all requests are served; all ten failing are still asked",
  },
  {
    row: 46,
    fault: "one of ten workers is ten times as slow",
    expected: "its share falls under 3 %, and p99 to half again what it is without it",
    deviation:
      "p99 stays above: policies know requests in flight and not latencies, so the slow one still gets 1 to 3 in a hundred",
  },
  {
    row: 47,
    fault: "a worker that takes four connections and gets 100 requests",
    expected:
      "an answer for each, and no socket left over; with `max_connections_per_worker` no more than that, in order, then another worker, or 503 after the connect timeout",
  },
  {
    row: 48,
    fault: "a worker closes idle connections just as requests come",
    expected: "no client sees an error; generations are the requests and at most the counted unclear ones",
  },
];

const GRPC: readonly FaultRow[] = [
  {
    row: 49,
    fault: "a gRPC worker refuses",
    expected: "as row 1: another worker answers, in two attempts; alone it is 502 in each API and counts as down",
  },
  {
    row: 50,
    fault: "SIGKILL within a gRPC stream",
    expected: "what came is delivered once, then one error event, code `upstream_reset`; one attempt",
  },
  {
    row: 51,
    fault: "SIGSTOP within a gRPC stream",
    expected: "an error event within the idle timeout, the worker is out, and back after SIGCONT",
  },
  {
    row: 52,
    fault: "a message over the limit, or one that is none",
    expected: "502 and never 429, one generation; the limit is `max_payload_size` and 16 MiB at least",
  },
  {
    row: 53,
    fault: "gRPC statuses",
    expected:
      "each as the HTTP status of its meaning, in each API; what says that the request is wrong is asked once, what another worker may take twice; within a stream an error event",
  },
  {
    row: 54,
    fault: "the deadline on the wire",
    expected: "the worker is told what is left of the time, and is cancelled within 50 ms when it is over",
  },
  {
    row: 55,
    fault: "GOAWAY under load",
    expected: "no client sees an error; what the worker had it ends, the rest goes elsewhere",
  },
  {
    row: 56,
    fault: "the client of a gRPC stream leaves",
    expected: "cancelled, and told by Abort once, within 100 ms, at each phase",
  },
  {
    row: 57,
    fault: "halves of characters from a detokenizer",
    expected: "no U+FFFD for characters that are whole, whatever tokens cut them, in each API",
  },
];

const REQUESTS: readonly FaultRow[] = [
  {
    row: 58,
    fault: "a body of 100 MB with its length, limit 20 MB",
    expected: "413 in each shape before it is read: at most 3 MB sent, at most 4 MiB more memory",
  },
  { row: 59, fault: "100 MB in chunks", expected: "413 within 64 KiB of the limit, closed, no worker asked" },
  {
    row: 60,
    fault: "a body just within the limit, of small messages, while 100 streams run",
    expected: "no stream waits more than 100 ms longer than without it",
  },
  { row: 61, fault: "JSON of 100,000 levels", expected: "400 within 20 ms; a hundred levels pass" },
  {
    row: 62,
    fault: "bodies that are not JSON, or no object",
    expected: "400 in each shape, and no worker is asked, in any mode",
  },
  { row: 63, fault: "a key twice", expected: "400 in each shape" },
  { row: 64, fault: "bytes that are not UTF-8, lone surrogates", expected: "400 in each shape" },
  { row: 65, fault: "numbers beyond a double", expected: "reach the worker as they were written" },
  { row: 66, fault: "unknown fields", expected: "reach the worker as they are, in their order" },
  {
    row: 67,
    fault: "`__proto__` and `constructor` in body, headers, query, labels",
    expected: "refused, or passed on as data; nothing is changed by them",
  },
  {
    row: 68,
    fault: "names of models that are paths, controls, 10 kB long, or of JavaScript",
    expected: "404, a short message without controls, one log line",
  },
  { row: 69, fault: "paths that mean another one to some", expected: "404 as JSON, and nothing behind them is called" },
  {
    row: 70,
    fault: "requests that two readers would cut differently",
    expected: "refused and closed; no worker sees one, nor what follows",
  },
  { row: 71, fault: "two Hosts, none, or one that is no name", expected: "400" },
  {
    row: 72,
    fault: "Connection that names Authorization",
    expected: "the key is looked at first; nothing is bypassed",
  },
  {
    row: 73,
    fault: "headers of 100 kB, or 300 of them",
    expected: "431 and closed",
  },
  { row: 74, fault: "other content types", expected: "415; a charset is taken" },
  {
    row: 75,
    fault: "encoded bodies, bombs among them",
    expected:
      "gzip, deflate, br and zstd are decoded within `max_payload_size`, beyond it 413; what is not what it says is 400, what is unknown 415 with those that are known; memory bounded",
  },
  { row: 76, fault: "a head that trickles", expected: "closed within 30 s" },
  { row: 77, fault: "a body that trickles", expected: "408 at the stall timeout, with `x-should-retry: false`" },
  {
    row: 78,
    fault: "10,000 idle connections",
    expected:
      "at most 120 MB more, a request takes no longer than a fifth more; closed after `client_idle_timeout_secs`, but no silent request; no more from one address than `max_connections_per_client`",
  },
  {
    row: 79,
    fault: "a client leaves: uploading, in the queue, before the head, within a stream or an answer",
    expected:
      "the worker is free within 100 ms, or a second where other requests stand behind, all counts are back at none, one line with 499, nothing for the breaker",
  },
  {
    row: 80,
    fault: "a client closes its half and waits",
    expected: "it is answered in full",
  },
  {
    row: 81,
    fault: "clients that do not read 100 MB",
    expected: "at most 8 MB each, the worker is stopped, others go on; who takes nothing for too long is cut off",
  },
  { row: 82, fault: "requests behind each other, and then gone", expected: "each answer is its own, in order" },
  { row: 83, fault: "keys and prompts in what is printed", expected: "none, at any level, anywhere" },
  { row: 84, fault: "request ids that are long, or would be headers", expected: "replaced; each line stays one line" },
  { row: 85, fault: "10,000 unknown models, users, paths", expected: "at most 50 series more, a scrape under 100 ms" },
  {
    row: 86,
    fault: "a billion answers, -1 tokens, 100,000 tools",
    expected: "400 that names the field, in each shape, and no worker asked",
    deviation: "99 alternatives a token are left to the engine to refuse: some allow more",
  },
  { row: 87, fault: "patterns made to be slow", expected: "clients' are text; ours are globs, in under 10 ms" },
  { row: 88, fault: "text that looks like the end of a stream", expected: "arrives as text" },
];

const LIFE: readonly FaultRow[] = [
  {
    row: 89,
    fault: "7 requests at once, 2 places, 2 in the queue",
    expected:
      "200 twice, `queue_timeout` twice, `queue_full` three times, all refusals 503 (529) with Retry-After; first come, first served; the gauge shows 2, then 0",
  },
  {
    row: 90,
    fault: "a noisy client beside a quiet one",
    expected: "the noisy gets 429 `rate_limit_exceeded`; the quiet 99 % and p95 at most twice what it is alone",
  },
  { row: 91, fault: "a thousand dead clients in the queue", expected: "skipped; the next living one within 50 ms" },
  {
    row: 92,
    fault: "workers that refuse everything, under load",
    expected:
      "attempts at the workers at most 1.2 for each request and ten a second, those of ten seconds at once at most",
  },
  {
    row: 93,
    fault: "more requests than the process can do",
    expected:
      "beyond the bounds 503 at once; `overloaded` while the event loop is behind by more than `max_event_loop_delay_ms`, again and again; health within 100 ms",
  },
  {
    row: 94,
    fault: "large bodies that fill the memory",
    expected:
      "503 `memory_full` beyond the bytes that may be held, and beyond the resident memory that the process may have; no crash, then all is free",
    deviation: "no stream that runs is ended for it",
  },
  {
    row: 95,
    fault: "a worker is removed, added, renamed while it streams",
    expected: "its stream ends whole, nothing new comes to it, counts end at none, removed twice is 404",
  },
  {
    row: 96,
    fault: "a hundred changes of workers at once",
    expected: "the list is what the answers say, ids are unique",
  },
  {
    row: 97,
    fault: "SIGTERM while requests run",
    expected:
      "readiness 503 within 100 ms, short requests end, new ones are answered until nobody listens, streams are told half a second before the end, exit 0; a second SIGTERM ends at once",
  },
  {
    row: 98,
    fault: "kept connections in a drain",
    expected: "idle ones closed within a second, busy ones after their answer",
  },
  { row: 99, fault: "kill -9 and a new start", expected: "back within three seconds with all its workers" },
  {
    row: 100,
    fault: "ten replacements on the same port under 200 requests a second",
    expected: "no request fails, and no stream is cut; a new process listens once it knows its workers",
    deviation:
      "some requests are reset unanswered, at this pace up to three in ten replacements. Linux resets connections that wait to be accepted when the old process stops listening, unless `net.ipv4.tcp_migrate_req` is 1 (figures below); and a kept connection ends right behind an answer that began before the signal, where the next request may cross its end",
  },
  { row: 101, fault: "a bad configuration", expected: "exit within two seconds, one line, nothing listens" },
  {
    row: 102,
    fault: "a bad configuration in a reload",
    expected:
      "the file is refused, with its mistakes and their places; what was in force goes on, streams and requests too. SIGUSR1 and SIGUSR2 do no harm, and a line says that they do nothing. Once the file is mended, the next SIGHUP takes it",
  },
  { row: 103, fault: "YAML made to do harm", expected: "refused within 200 ms and 32 MiB" },
  {
    row: 104,
    fault: "the wall clock jumps",
    expected: "bounds, breakers, buckets and rests hold; no negative time in a log line",
  },
  {
    row: 105,
    fault: "the operator's policy throws, or returns what is no index of a worker",
    expected:
      "500 `policy_failed` for that request, counted; one line names the policy and what it did; the next is served",
  },
  {
    row: 106,
    fault: "200 descriptors, 500 clients",
    expected: "no crash, those connected are served, and all is well after",
  },
  { row: 107, fault: "log lines that cannot be written", expected: "serving goes on, drops are told" },
];

const STATE: readonly FaultRow[] = [
  {
    row: 108,
    fault: "more prompts than are remembered",
    expected: "memory stays, no error, no insert takes 20 ms",
  },
  { row: 109, fault: "an engine's cache events lie", reason: "cache events are not read; the prefix index is our own" },
  { row: 110, fault: "Redis or Postgres is down", reason: NO_STORE },
  { row: 111, fault: "the stored response of another", reason: NO_STORE },
  { row: 112, fault: "an MCP server fails", reason: NO_MCP },
  {
    row: 113,
    fault: "destinations: other schemes, users, paths in a worker's URL; destinations in a request",
    expected: "a worker's URL that is no origin is 400; nothing in a request chooses where it goes",
    deviation:
      "a worker may have any address, as workers are on private ones: who may add workers is who holds the admin key. There is no list of networks",
  },
  { row: 114, fault: "results of MCP tools", reason: NO_MCP },
  {
    row: 115,
    fault: "keys that are missing, bent, or of another port",
    expected: "401 in the same words, 403 for a known key that is no admin's, admin paths unknown on the serving port",
  },
  {
    row: 116,
    fault: "tokens that are bent, forged, early, late, for others or huge",
    expected: "401 `invalid_api_key`, no worker hears of them, and no part of them stands in the log",
  },
  {
    row: 117,
    fault: "the issuer's keys: away, slow, huge, or no keys",
    expected:
      "tokens of its last good keys are taken; where it has never had any, 503 `token_keys_unavailable` within 8 s; keys work all the while",
  },
  { row: 118, fault: "the time that a key takes", expected: "Welch's t within 4.5" },
  { row: 119, fault: "a client's credentials at the worker", expected: "none; each worker has its own key" },
  {
    row: 120,
    fault: "scrapers that hang",
    expected: "no memory and no time taken (a collector of traces that is away: `test/integration/traces.test.ts`)",
  },
  { row: 121, fault: "background responses", reason: NO_STORE },
  {
    row: 122,
    fault: "dependencies that change",
    expected: "exact versions, each with a digest in the lock file",
    deviation:
      "binaries of other platforms that only developers have are locked without one; `npm audit` asks the registry, so it is no test",
  },
];

/** Found by outside reviews and in public reports of other gateways. */
const REPORTED: readonly FaultRow[] = [
  {
    row: 123,
    fault: "a worker's socket is closed in the moment in which it is handed to the next request in line",
    expected: "that request has another socket; each is answered within the bounds, and all counts are back at none",
  },
  {
    row: 124,
    fault: "a worker sends a second answer that nobody asked for, late and in a segment of its own",
    expected:
      "what comes before the socket is used again closes it; after the first one the worker's sockets are used once each",
    deviation:
      "HTTP/1.1 has no ids: an extra answer that comes when the next request is already on the socket is taken for that request's, once",
  },
  {
    row: 125,
    fault: "a worker's head has lines that end in a line feed alone, or is none",
    expected: "read where all of its lines do; 502 at once where it can never become a head",
  },
  {
    row: 126,
    fault: "a worker tells a framing that its version or status does not have",
    expected: "read as HTTP says, and the socket is not used again",
  },
  {
    row: 127,
    fault: 'a worker writes "" or the word "null" as `finish_reason` into every event',
    expected: "no reason to stop: a stream that is cut is told as cut, and parsing goes on to the end",
  },
  {
    row: 128,
    fault: "a stream ends in order after some of the answers that were asked for",
    expected: "as row 7: `n`, prompts of a batch, and both are counted, in each API that has them",
  },
  {
    row: 129,
    fault: "events without data, pings in words, white space around the end marker",
    expected: "left out, wherever they come; the stream is whole",
  },
  {
    row: 130,
    fault: "an event by the name of error whose data says nothing of one; an empty error in each event",
    expected: "as row 28; an empty error beside an answer is none",
  },
  {
    row: 131,
    fault: "a worker sends a comment, `retry:`, a ping or nothing behind its head, and is lost",
    expected: "another worker answers, as before the head; alone 502, or 504 after silence",
  },
  {
    row: 132,
    fault: "a worker sends nothing before its first token for longer than what stands between will wait",
    expected:
      "the client of a stream has the head and a sign of life in time; the second attempt is there all the same; an error is then an event, recorded as what it is",
  },
  {
    row: 133,
    fault: "a request waits in line for longer than what stands between will wait",
    expected: "as row 132, in the line before the gate and in that before a model",
  },
  {
    row: 134,
    fault: "answers that are no JSON by right, and JSON by other names",
    expected:
      "bytes that were asked for pass as they are, with their `metadata`; JSON without a type or as `application/*+json` passes as JSON; all else as rows 25 and 26, and bytes that nobody asked for too",
  },
  {
    row: 135,
    fault: "one of two workers answers 500 to everything at once, and says that it is well",
    expected:
      "with each policy at most 12 of 120 requests of 8 clients fail; it is ejected, and log, metrics and its view say so",
  },
  { row: 136, fault: "the same with two threads", expected: "the same, and at most one more for each client" },
  {
    row: 137,
    fault: "all workers of a model answer 500 to everything",
    expected: "nobody is ejected, and the errors pass as they are",
  },
  {
    row: 138,
    fault: "a client whose requests fail at every worker",
    expected: "nobody is ejected, whether it varies them or not, and with affinity as well; all others are answered",
  },
  {
    row: 139,
    fault: "an ejected worker works again",
    expected:
      "requests prove it one at a time; it has a tenth of its share first, and all of it when its slow start is over",
  },
  {
    row: 140,
    fault: "a lone 401 or 403 of a worker; the page of a firewall",
    expected:
      "it rests where another can serve, which one line says with why and for how long; alone it is asked on; a page is no refusal of the credential",
  },
  {
    row: 141,
    fault: "529, and what proxies say of a worker that they cannot reach (520 to 526, 530)",
    expected: "another worker answers; alone 503 with Retry-After, or 502",
  },
  { row: 142, fault: "a worker's rest as a date or in milliseconds", expected: "it is heeded" },
  {
    row: 143,
    fault: "a worker fails in words of its own",
    expected:
      "they stand in the log, without what stands in the request as well, and never in an answer; the access line names each worker that failed",
  },
  {
    row: 144,
    fault: "a worker that fails at once, before the least loaded is chosen",
    expected: "for policies it is as loaded as if it had answered; counts, metrics and drains have what is true",
  },
  {
    row: 145,
    fault: "connections that send thousands of requests behind each other",
    expected: "others are served beside them: no request is refused as `overloaded`, and half of them take no 250 ms",
  },
  {
    row: 146,
    fault: "bodies of which nearly all is no data: chunk extensions, chunks and packets of a byte",
    expected: "400 beyond 16 KiB of extensions; memory is that of the data, counted as it is held",
  },
  {
    row: 147,
    fault: "clients that announce large bodies, or send a byte now and then",
    expected:
      "what has not come takes no room and no place: others are served; below 1 KiB a second they are told 408; where the line is full they are refused before they send",
  },
  {
    row: 148,
    fault: "millions of outermost members",
    expected: "400 beyond 4,096, in each shape; at most 100 ms, and health meanwhile",
  },
  {
    row: 149,
    fault: "empty lines, in one piece or by halves",
    expected: "they begin no request: refused beyond eight, and closed as idle",
  },
  {
    row: 150,
    fault: "200 descriptors, 500 idle clients at the ports of metrics and administration",
    expected: "each of these ports takes a few only: the main port serves, and no core is burnt",
  },
  {
    row: 151,
    fault: "with several threads a client leaves between the grant of its place and the reading of it",
    expected: "the place is free again at once: after any number of them the gateway takes as many requests as before",
  },
  {
    row: 152,
    fault: "a thread dies and cannot be started anew at first",
    expected:
      "each try is told and followed by another, up to 10 s apart; the other threads serve, and the administration answers meanwhile",
  },
  {
    row: 153,
    fault: "a policy of the operator's loops for ever in one of several threads",
    expected:
      "the others serve; after 10 s the thread is ended and started anew, its places are given back and the log says what it did. With one thread nobody is left to notice",
  },
  {
    row: 154,
    fault: "bodies on routes that take none, or before the key is known",
    expected: "the answer does not wait for them and none of them is kept",
  },
  {
    row: 155,
    fault: "a flood of `/health_generate`, which needs no key",
    expected: "one question to a worker at a time, and one a second",
  },
  {
    row: 156,
    fault: "a client gives up waiting for the answer of the administration",
    expected: "it is not logged as a defect",
  },
  {
    row: 157,
    fault:
      "bodies for a gRPC worker that no model takes: a text of 60 MB, a million messages, thousands of tools, millions of token ids",
    expected:
      "refused by their bytes, their entries or as soon as too many tokens are counted: in seconds, without gigabytes, and other streams go on",
  },
  {
    row: 158,
    fault: "the client leaves while its prompts become tokens",
    expected: "what is left of them is not encoded, and no worker hears of them",
  },
  {
    row: 159,
    fault: "a flood of texts of 1 MB on `/parse/function_call`",
    expected:
      "they pass key, limits and gate as any request does; each thread takes one apart at a time, in steps, and chats go on",
  },
];

/** What is done to keys, their store, and TLS on both sides. */
const CREDENTIALS: readonly FaultRow[] = [
  {
    row: 160,
    fault: "a key that is cut, longer, of other letters, huge, expired, revoked or rotated away",
    expected:
      "401 on every thread, at once where it was changed, and no worker hears of it; who has an expired one is told so",
  },
  {
    row: 161,
    fault: "a key is revoked while its stream runs",
    expected: "the stream ends whole, and the next request is 401",
  },
  {
    row: 162,
    fault: "another process holds the lock of the key store",
    expected:
      "requests go on; a change waits up to 5 s for it and is then 503 `key_store_failed`; usage is written when it is gone, once",
  },
  {
    row: 163,
    fault: "the file of the key store is moved away or replaced",
    expected:
      "known keys stay in force, changes are 503 `key_store_failed`, one line says so; when it is back it is used again",
  },
  {
    row: 164,
    fault: "the file of the key store is damaged",
    expected: "known keys stay in force, and changes are 503 `key_store_failed`",
  },
  {
    row: 165,
    fault: "clients of a key with limits leave, and its workers fail",
    expected: "its places are free again, and what failed at the worker costs it no tokens",
  },
  {
    row: 166,
    fault: "handshakes that are not finished, come a byte at a time, are huge, are none, or ask for HTTP/2 alone",
    expected: "a slow one is finished, the others end their connection alone, and requests without TLS are told 400",
  },
  {
    row: 167,
    fault: "a client renegotiates TLS 1.2",
    expected: "its connection ends, and no other",
  },
  {
    row: 168,
    fault: "the files of a renewed certificate are cut, of two holders, or gone",
    expected: "the certificate of before stays in force, and a line says why",
  },
  {
    row: 169,
    fault: "clients without a certificate, with one that has expired, or of another authority, where one is wanted",
    expected: "their connection ends before a request is read, and is counted by its kind",
  },
  {
    row: 170,
    fault: "a worker's certificate has expired, is for another name, or is its own authority",
    expected: "it gets no request; the operator reads why, and the client does not",
  },
  {
    row: 171,
    fault: "a worker closes the connection within its handshake, or never finishes it",
    expected: "502 or 504 within the time for connecting; well again, it serves",
  },
  {
    row: 172,
    fault: "an engine that says it has 0, 1,000,000,000 or half a data-parallel rank",
    expected: "it is one worker, its requests name no rank, and the log says what it said",
  },
  {
    row: 173,
    fault: "an engine that refuses a data-parallel rank which it says it has",
    expected: "its other ranks serve; `dp_size` keeps the rank out, and then no request asks for it",
    deviation: "requests for the rank get the engine's 400: it looks like any other refusal of a request",
  },
  {
    row: 174,
    fault: "the disk of the key store and of the audit log is full",
    expected:
      "known keys stay in force; a change is 503 `key_store_failed` and leaves nothing; once there is room changes are taken, usage of meanwhile is written, and each line of the audit log stands alone; entries that did not fit are in the log",
  },
  {
    row: 175,
    fault:
      "a gateway starts with its key store or audit log on a disk that is read-only or full, or in a folder that is not there",
    expected: "it ends with 2 and says which option, which file and why; the keys of the file are there afterwards",
  },
  {
    row: 176,
    fault: "the folder of the key store vanishes while the gateway runs",
    expected: "known keys stay in force, changes are 503 `key_store_failed`, and one line says so",
  },
];

export const SECTIONS: readonly FaultSection[] = [
  { title: "Workers over HTTP", rows: WORKERS },
  { title: "Workers over gRPC", rows: GRPC },
  { title: "Requests", rows: REQUESTS },
  { title: "Load and life", rows: LIFE },
  { title: "State, dependencies, identity", rows: STATE },
  { title: "What reviews and public reports found", rows: REPORTED },
  { title: "Keys and TLS", rows: CREDENTIALS },
];
