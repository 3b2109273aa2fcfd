import type { Aggregate, Command } from '../decider.ts'
import type { StagingCleaned } from './events.ts'

export interface StagingCommand extends Command {
  type: 'staging.clean'
  data: StagingCleaned
}

/**
 * Cleanups of staged files, a stream for each run. They are facts about files and change nothing that is promoted; and
 * they come after the run's end as well, when nothing stands in the run's own stream any more.
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
