import { configSchema } from "../config/schema.ts";
import { openThreadCallers } from "../context/thread-callers.ts";
import { SERVER_KEYS } from "../context/live-keys.ts";
import { registerRegistries } from "../context/live-parts.ts";
import { serverSettings } from "../context/server-settings.ts";
import { startServingUnit, type ServingUnit } from "../context/serving-unit.ts";
import { sharesOf } from "../context/shares.ts";
import { createLogger } from "../observability/logger.ts";
import { LiveConfig } from "../reload/live-config.ts";
import { Metrics } from "../observability/metrics.ts";
import type { Clock } from "../util/clock.ts";
import { errorMessage } from "../util/error-message.ts";
import { askControl } from "./ask-control.ts";
import { ControlLink, limitsOf } from "./control-link.ts";
import { errorOf } from "./error-state.ts";
import type { Configure, FromThread, Start, ToThread } from "./messages.ts";
import { Replica } from "./replica.ts";
import { ThreadLog } from "./thread-log.ts";
import { ThreadRecording } from "./thread-recording.ts";
import { openThreadTracer } from "./thread-spans.ts";

/** Interval in which a draining thread reports its requests in flight to the control thread, ms. */
const TELL_ACTIVE_MS = 20;

interface ThreadParts {
  readonly live: LiveConfig;
  readonly clock: Clock;
  readonly post: (message: FromThread) => void;
  readonly link: ControlLink;
  readonly metrics: Metrics;
  readonly replica: Replica;
  readonly unit: ServingUnit;
  readonly recording: ThreadRecording | undefined;
  /** Closes everything of the thread. */
  readonly owned: AsyncDisposableStack;
}

/** One serving thread: a serving unit on its own event loop, with a replica of the registries. */
export class ServingThread {
  readonly #parts: ThreadParts;
  #cancelTelling: (() => void) | undefined;

  private constructor(parts: ThreadParts) {
    this.#parts = parts;
  }

  get port(): number {
    return this.#parts.unit.port;
  }

  /** Throws if the address is not available or a policy module does not load; then nothing is left open. */
  static async start(start: Start, post: (message: FromThread) => void, clock: Clock): Promise<ServingThread> {
    await using stack = new AsyncDisposableStack();
    const config = configSchema.parse(start.config);
    const log = stack.adopt(new ThreadLog(post, clock), (lines) => {
      lines.flush();
    });
    const logger = stack.use(createLogger(config.logLevel, config.logFormat, log));
    const metrics = new Metrics();
    const replica = await Replica.open(start, { config, logger, clock, metrics }, stack);
    const live = new LiveConfig(config);
    registerRegistries({ live, logger, ...replica.registries, isOwner: false });
    const settings = serverSettings(config);
    const link = stack.adopt(new ControlLink(post, limitsOf(settings.gate)), (closing) => closing.close());
    live.register({
      name: "limits",
      keys: SERVER_KEYS,
      apply: (next) => link.replace(limitsOf(serverSettings(next).gate)),
    });
    const callers = stack.use(
      openThreadCallers({ config, live, clock, verify: (token) => link.verifyToken(token) }, start, (rows) =>
        post({ type: "used", rows }),
      ),
    );
    const recording = config.record === undefined ? undefined : stack.use(new ThreadRecording(post, clock));
    const unit = stack.use(
      startServingUnit({
        ...replica.registries,
        live,
        config,
        clock,
        logger,
        metrics,
        hostname: start.hostname,
        port: start.port,
        reusePort: true,
        certificates: start.certificates,
        via: start.via,
        shares: sharesOf(config, start.threads),
        auth: callers.auth,
        limits: callers.limits,
        tally: callers.tally,
        gate: link,
        outcomes: link,
        finder: link,
        recording,
        tracer: openThreadTracer({ config, post, clock }, stack),
        routes: start.routes.map((route, index) => ({ ...route, index })),
        answer: (route, request) => askControl({ link, auth: callers.auth }, route, request),
      }),
    );
    return new ServingThread({ live, clock, post, link, metrics, replica, unit, recording, owned: stack.move() });
  }

  onMessage(message: Exclude<ToThread, Start>): void {
    const { link, unit, replica, recording, post } = this.#parts;
    switch (message.type) {
      case "change":
        replica.apply(message);
        post({ type: "applied", version: message.version });
        return;
      case "configure":
        void this.#configure(message);
        return;
      case "reply":
      case "refusal":
        link.onReply(message);
        return;
      case "ask":
        this.#tellState(message.id);
        return;
      case "findDecisions":
        post({ type: "decisions", id: message.id, tries: unit.decisions?.find(message.query) ?? [] });
        return;
      case "ping":
        post({ type: "pong" });
        return;
      case "recordingTaken":
        recording?.onTaken();
        return;
      case "leave":
        unit.beginToLeave();
        return;
      case "stopListening":
        unit.stopListening();
        this.#tellActive();
        return;
      case "certificates":
        unit.replaceCertificates(message.next);
        return;
      case "failAll":
        unit.failAll(errorOf(message.error));
        return;
      case "stop":
        void this.#stop();
    }
  }

  /** Begins at once, so that what the control thread says afterwards finds the change carried out. */
  async #configure({ id, step, config, memory }: Configure): Promise<void> {
    const { live, replica, post } = this.#parts;
    let refusal: string | undefined;
    try {
      const next = configSchema.parse(config);
      if (step === "check") await live.check(next);
      else {
        replica.takeMemory(memory);
        await live.apply(next);
      }
    } catch (error) {
      refusal = errorMessage(error);
    }
    post({ type: "configured", id, outcome: { refusal } });
  }

  #tellState(id: number): void {
    const { unit, metrics, post } = this.#parts;
    post({ type: "state", id, state: { active: unit.active, metrics: metrics.snapshot() } });
  }

  /** Reports the number of requests in flight, now and then in intervals. */
  #tellActive(): void {
    const { clock, post, unit } = this.#parts;
    post({ type: "active", active: unit.active });
    this.#cancelTelling = clock.after(TELL_ACTIVE_MS, () => this.#tellActive());
  }

  async #stop(): Promise<void> {
    this.#cancelTelling?.();
    await this.#parts.owned.disposeAsync();
    this.#parts.post({ type: "stopped" });
  }
}
