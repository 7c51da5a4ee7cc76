import { Compared } from "../compared.ts";
import type { PolicyParts } from "../policy.ts";
import { PrefixIndex, prefixIndexBytes } from "../prefix-index.ts";
import { Attention } from "./attention.ts";
import { Chooser } from "./chooser.ts";
import { Handover } from "./handover.ts";
import { Learning } from "./learning.ts";
import type { LeastTtftPick } from "./least-ttft-pick.ts";
import { NewsLoad } from "./news-load.ts";
import { PendingWork } from "./pending-work.ts";
import { ServiceRates } from "./service-rates.ts";
import { stateBytes, TIME } from "./shared-layout.ts";
import { SharedTime } from "./shared-time.ts";
import { UsageFeedback } from "./usage-feedback.ts";
import { StreamPulse } from "./stream-pulse.ts";
import { UnheardCost } from "./unheard-cost.ts";
import { MOST_COMPARED } from "./weighed.ts";
import { Weigher } from "./weigher.ts";
import { WholeAnswers } from "./whole-answers.ts";
import { WorkerBounds } from "./worker-bounds.ts";

/** In a fleet of more than MOST_COMPARED workers so many are compared. More of them change nothing that could be measured with 64 workers. */
const SAMPLE = 16;

/** Everything that an instance knows and decides with. What decides is in memory that all threads share, besides each thread's own queues. */
export interface Knowledge {
  readonly cells: Float64Array;
  readonly time: SharedTime;
  readonly index: PrefixIndex;
  readonly bounds: WorkerBounds;
  readonly rates: ServiceRates;
  readonly pending: PendingWork<LeastTtftPick>;
  readonly pulse: StreamPulse;
  readonly news: NewsLoad;
  readonly unheard: UnheardCost;
  readonly compared: Compared;
  readonly weigher: Weigher;
  readonly chooser: Chooser;
  readonly learning: Learning;
  readonly attention: Attention;
  readonly feedback: UsageFeedback;
  readonly handover: Handover;
}

/** Knowledge of a policy whose index remembers so many bytes of prompts. The index comes first in the memory, then the state of the rest. */
export function createKnowledge(indexBytes: number, parts: PolicyParts): Knowledge {
  const { memory, random, now, thread, threads, gateway = "" } = parts;
  const stateFrom = Math.ceil(prefixIndexBytes(indexBytes) / 64) * 64;
  const shared = memory(stateFrom + stateBytes(threads));
  const cells = new Float64Array(shared, stateFrom);
  const index = new PrefixIndex(indexBytes, shared);
  const bounds = new WorkerBounds(index);
  const rates = new ServiceRates(cells);
  const attention = new Attention(cells);
  const feedback = new UsageFeedback(cells);
  const pending = new PendingWork<LeastTtftPick>(cells, thread, threads);
  const pulse = new StreamPulse(cells);
  const news = new NewsLoad(cells, index, gateway);
  return {
    cells,
    time: new SharedTime(cells, TIME, now),
    index,
    bounds,
    rates,
    pending,
    pulse,
    news,
    unheard: new UnheardCost(news.unheard, rates),
    compared: new Compared({ index, random, mostOfAll: MOST_COMPARED, sample: SAMPLE }),
    weigher: new Weigher({ cells, bounds, rates, pending, pulse, attention, feedback, index, foreign: news }),
    chooser: new Chooser(cells),
    learning: new Learning({ cells, rates, attention, feedback, whole: new WholeAnswers(cells), index, news }),
    attention,
    feedback,
    handover: new Handover(cells),
  };
}
