import type { Layout } from '../../disk/layout.ts'
import type { StagingCleaned } from '../../domain/turn/staging.ts'
import { isWorkspaceName } from '../../domain/turn/workspace.ts'
import type { Config } from '../../kernel/config.ts'
import type { Entry } from '../../kernel/entry.ts'
import type { Reactor } from '../reactor.ts'
import { removeStaging, stagedTurns, stagingFolder, stagingSize } from './staging-folder.ts'

const ends = new Set(['run.completed', 'run.failed', 'run.denied', 'run.cancelled'])

/**
 * Removes a turn's files in `.lockstep/staging/<run_id>/<turn_id>`, when the configuration asks for that. The removal
 * is recorded first, and only once however often the entry is handled. So no files disappear without a record.
 */
export function stagingReactor(layout: Layout, settings: () => Config, record: RecordCleaned): Reactor {
  return {
    name: 'staging',
    concerns: ({ type }) => {
      const { staging_cleanup } = settings()
      return staging_cleanup === 'on_promotion'
        ? type === 'turn.promoted'
        : staging_cleanup === 'on_run_end' && ends.has(type)
    },
    handle: async (entry) => {
      const { run_id, turn_id } = entry.data as { run_id?: string; turn_id?: string }
      const runId = run_id ?? entry.run_id ?? ''
      // Other runs have neither turns nor a staging folder.
      if (!isWorkspaceName(runId)) return 'done'
      const isEnd = ends.has(entry.type)
      for (const turn of isEnd ? stagedTurns(layout, runId) : [turn_id ?? '']) {
        const folder = stagingFolder(layout, runId, turn)
        const size = await stagingSize(folder)
        if (size === undefined) continue
        const reason = isEnd ? 'run_ended' : 'promoted'
        await record({ ...size, reason, run_id: runId, turn_id: turn }, keyOf(entry, turn))
        await removeStaging(folder)
      }
      return 'done'
    },
  }
}

/** Appends the event once per key. */
export type RecordCleaned = (cleaned: StagingCleaned, key: string) => Promise<unknown>

function keyOf({ seq }: Entry, turnId: string): string {
  return `staging ${seq} ${turnId}`
}
