import { systemClock } from "../../../src/util/clock.ts";
import { type EngineOptions, type SimulatedEngine, startEngine } from "../../../src/engine-sim/engine.ts";
import type { PdFault } from "./faults.ts";
import { handedParamsProtocol, NIXL, PASSTHROUGH } from "./handed-params.ts";
import { PdJournal } from "./journal.ts";
import { openKvPort } from "./kv-port.ts";
import { KvStore } from "./kv-store.ts";
import { mooncakeProtocol } from "./mooncake.ts";
import { p2pNcclProtocol } from "./p2p-nccl.ts";
import { pdInfo } from "./pd-info.ts";
import type { PdDialect, PdOptions, PdRecord, PdSide } from "./pd-options.ts";
import type { PdContext, PdProtocol } from "./pd-protocol.ts";
import { PdRole } from "./pd-role.ts";
import { sglangProtocol } from "./sglang.ts";

const PROTOCOLS: Readonly<Record<PdDialect, (context: PdContext) => PdProtocol>> = {
  sglang: sglangProtocol,
  nixl: (context) => handedParamsProtocol(context, NIXL),
  mooncake: mooncakeProtocol,
  p2p_nccl: p2pNcclProtocol,
  passthrough: (context) => handedParamsProtocol(context, PASSTHROUGH),
};

/** An engine that prefills or decodes for another. */
export interface PdEngine extends SimulatedEngine {
  readonly side: PdSide;
  readonly record: Readonly<PdRecord>;
  readonly engineId: string;
  /** SGLang's bootstrap port, NIXL's side channel, Mooncake's bootstrap server, or NCCL's address. */
  readonly kvPort: number;
  /** Prompt tokens that it holds for somebody to fetch. */
  readonly heldTokens: number;
  /** What befalls requests from now on; undefined for nothing. */
  setFault(fault: PdFault | undefined): Promise<void>;
}

/** Starts one half of a pair on loopback: the simulated engine, and a port where KV is handed over. */
export async function startPdEngine(pd: PdOptions, options: EngineOptions = {}): Promise<PdEngine> {
  const { dialect, side, waitMs = 2000, dpSize = 1, loadBalanceMethod = "follow_bootstrap_room" } = pd;
  const record = newRecord();
  const store = new KvStore(systemClock, pd.leaseMs ?? 30_000, () => (record.kvExpired += 1));
  let kvPort = 0;
  const context: PdContext = {
    dialect,
    engineId: crypto.randomUUID(),
    dpSize,
    waitMs,
    followsRoom: loadBalanceMethod === "follow_bootstrap_room",
    journal: pd.journal ?? new PdJournal(),
    record,
    store,
    address: () => `127.0.0.1:${kvPort}`,
  };
  const protocol = PROTOCOLS[dialect](context);
  const kv = openKvPort(store, dialect === "nixl" || dialect === "passthrough" ? 0 : waitMs, protocol.kvRoutes);
  kvPort = kv.port ?? 0;
  context.journal.addAddress(context.address());
  const running = (): number =>
    record.exchanges.filter((one) => one.endSequence === undefined && !one.isAborted).length;
  const info = pdInfo({ context, side, isDevMode: pd.isDevMode ?? true, loadBalanceMethod, running });
  const role = new PdRole(side, context, protocol, info);
  const engine = await startEngine({ ...options, kind: dialect === "sglang" ? "sglang" : "vllm", role });
  const setFault = async (fault: PdFault | undefined): Promise<void> => {
    role.faults.set(fault);
    if (fault?.kind === "refuse") await engine.refuse();
    else engine.accept();
  };
  await setFault(pd.fault);
  const stop = async (): Promise<void> => {
    store.close();
    await engine.stop();
    await kv.stop(true);
  };
  return {
    ...engine,
    side,
    record,
    engineId: context.engineId,
    kvPort,
    get heldTokens() {
      return store.heldTokens;
    },
    setFault,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function newRecord(): PdRecord {
  return {
    exchanges: [],
    violations: [],
    kvFailures: [],
    kvTokens: 0,
    kvTransfers: 0,
    kvQueries: 0,
    recomputed: 0,
    kvExpired: 0,
  };
}
