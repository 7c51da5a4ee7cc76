import type { Config } from "../config/schema.ts";
import { configSchema } from "../config/schema.ts";
import { createPolicyRegistry, createRouters, forgetDeparted } from "../context/data-path.ts";
import { grpcLimits, maxConnectionsPerWorker, registrySettings } from "../context/settings.ts";
import { createLogger } from "../observability/logger.ts";
import { Metrics } from "../observability/metrics.ts";
import { PolicyMemory } from "../policy/policy-memory.ts";
import { ModelRouter } from "../router/model-router.ts";
import { createAuth } from "../server/auth.ts";
import { type Serving, startServing } from "../server/serving.ts";
import { authSettings, bound } from "../server/settings.ts";
import { TokenizerRegistry } from "../tokenizer/tokenizer-registry.ts";
import { GrpcTransport } from "../transport/grpc/grpc-transport.ts";
import { HttpTransport } from "../transport/http1/http-transport.ts";
import { systemClock } from "../util/clock.ts";
import { LoadLedger } from "../worker/load-ledger.ts";
import { WorkerRegistry } from "../worker/worker-registry.ts";
import { workerOf } from "../worker/worker-state.ts";
import { askControl } from "./ask-control.ts";
import { ControlLink } from "./control-link.ts";
import { noted } from "./doing.ts";
import { errorOf } from "./error-state.ts";
import type { Change, FromThread, Start, ToThread } from "./messages.ts";
import { ThreadLog } from "./thread-log.ts";

/** How often the control thread is told what is under way while a drain waits for it, ms. */
const TELL_ACTIVE_MS = 20;

interface ThreadParts {
  readonly post: (message: FromThread) => void;
  readonly link: ControlLink;
  readonly metrics: Metrics;
  readonly registry: WorkerRegistry;
  readonly ledger: LoadLedger;
  readonly memory: PolicyMemory;
  readonly transport: HttpTransport;
  readonly grpc: GrpcTransport;
  readonly tokenizers: TokenizerRegistry;
  readonly serving: Serving;
  /** All that has to be closed. */
  readonly owned: AsyncDisposableStack;
}

/** One thread that serves: the data path on an event loop of its own, with a replica of the registries. */
export class ServingThread {
  readonly #parts: ThreadParts;

  private constructor(parts: ThreadParts) {
    this.#parts = parts;
  }

  get port(): number {
    return this.#parts.serving.port;
  }

  /** Throws what stands against it (the address, a policy module), and leaves nothing then. */
  static async start(start: Start, post: (message: FromThread) => void): Promise<ServingThread> {
    await using stack = new AsyncDisposableStack();
    const config: Config = configSchema.parse(start.config);
    const { threads } = start;
    const log = stack.adopt(new ThreadLog(post), (lines) => {
      lines.flush();
    });
    const logger = stack.use(createLogger(config.logLevel, log));
    const metrics = new Metrics();
    const ledger = new LoadLedger({ memory: start.ledger, thread: start.thread });
    const memory = new PolicyMemory();
    for (const entry of start.memory) memory.put(entry);
    const core = {
      config,
      clock: systemClock,
      logger,
      metrics,
      ledger,
      workerRegistry: new WorkerRegistry({ ledger, ...registrySettings(config) }),
      policyRegistry: await createPolicyRegistry({
        config,
        memory,
        logger,
        clock: systemClock,
        note: (policy) => noted(policy, start.doing),
      }),
      transport: stack.use(new HttpTransport(systemClock, maxConnectionsPerWorker(config, threads))),
      grpc: stack.use(new GrpcTransport(grpcLimits(config), systemClock)),
      tokenizers: stack.use(new TokenizerRegistry()),
    };
    const link = stack.adopt(new ControlLink(post, limitsOf(config)), (closing) => closing.close());
    for (const change of start.tokenizers) core.tokenizers.apply(change);
    const routers = createRouters({ ...core, isServing: true, outcomes: link, threads }, stack);
    const { workerRegistry, policyRegistry, transport } = core;
    const router = stack.use(
      new ModelRouter({ workers: workerRegistry, policies: policyRegistry, routers, finder: link, logger }),
    );
    forgetDeparted({ ...core, transports: [transport] });
    for (const state of start.workers) workerRegistry.put(workerOf(state, ledger, systemClock.now()));
    metrics.read("upstreamSockets", (set) => set({}, transport.openSockets));
    const control = { link, auth: createAuth(authSettings(config)) };
    const serving = stack.use(
      startServing({
        ...core,
        hostname: start.hostname,
        port: start.port,
        reusePort: true,
        threads,
        auth: control.auth,
        gate: link,
        route: (request) => router.route(request),
        routes: start.routes.map((route, index) => ({ ...route, index })),
        answer: (route, request) => askControl(control, route, request),
      }),
    );
    return new ServingThread({ ...core, registry: workerRegistry, post, link, memory, serving, owned: stack.move() });
  }

  onMessage(message: Exclude<ToThread, Start>): void {
    const { link, serving, transport, grpc, owned, post } = this.#parts;
    switch (message.type) {
      case "change":
        this.#apply(message);
        return;
      case "reply":
      case "refusal":
        link.onReply(message);
        return;
      case "ask":
        void this.#tellState(message.id);
        return;
      case "ping":
        post({ type: "pong" });
        return;
      case "leave":
        serving.beginToLeave();
        return;
      case "stopListening": {
        serving.stopListening();
        const timer = setInterval(() => post({ type: "active", active: serving.active }), TELL_ACTIVE_MS);
        owned.defer(() => clearInterval(timer));
        return;
      }
      case "failAll":
        transport.failAll(errorOf(message.error));
        grpc.failAll(errorOf(message.error));
        return;
      case "stop":
        void this.#stop();
    }
  }

  #apply({ version, put, removed, tokenizer, memory }: Change): void {
    const { registry, ledger, tokenizers, post, memory: shared } = this.#parts;
    for (const entry of memory) shared.put(entry);
    if (put) registry.put(workerOf(put, ledger, systemClock.now()));
    if (removed !== undefined) registry.remove(removed);
    if (tokenizer) tokenizers.apply(tokenizer);
    post({ type: "taken", version });
  }

  async #tellState(id: number): Promise<void> {
    const { serving, metrics, post } = this.#parts;
    post({ type: "state", id, state: { active: serving.active, metrics: await metrics.snapshot() } });
  }

  async #stop(): Promise<void> {
    await this.#parts.owned.disposeAsync();
    this.#parts.post({ type: "stopped" });
  }
}

/** Which limits of the control thread's there are at all. */
function limitsOf(config: Config): { readonly hasGateway: boolean; readonly hasModel: boolean } {
  return {
    hasGateway: bound(config.maxConcurrentRequests) !== Number.POSITIVE_INFINITY,
    hasModel: bound(config.maxConcurrentRequestsPerModel) !== Number.POSITIVE_INFINITY,
  };
}
