import type { Aggregate, Command } from '../../kernel/decider.ts'
import type { StagingCleaned } from './events.ts'

export interface StagingCommand extends Command {
  type: 'staging.clean'
  data: StagingCleaned
}

/**
 * Cleanups of staged files, with one stream for each run. They are facts about files and do not change promoted state.
 * They can follow the end of the run, when nothing more can be appended to the stream of the run.
 */
export const stagingAggregate: Aggregate<StagingCommand, { count: number }> = {
  reads: ({ data }) => [streamOf(data.run_id)],
  decide: ({ data }) => ({
    kind: 'append',
    events: [{ type: 'turn.staging_cleaned', stream: streamOf(data.run_id), data }],
  }),
  evolve: (state) => ({ count: (state?.count ?? 0) + 1 }),
}

function streamOf(runId: string): string {
  return `staging/${runId}`
}
