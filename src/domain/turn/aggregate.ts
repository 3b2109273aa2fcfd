import { defineAggregate, type NamedObject, stream } from '../../kernel/aggregate.ts'
import type { Entry } from '../../kernel/entry.ts'
import { rowsOn } from '../../kernel/rendering.ts'
import { decide, reads } from './decide.ts'
import { turnEventSchemas } from './events.ts'
import { pinStream } from './pin.ts'
import type { StagedSet } from './triplet.ts'

const turnRow = rowsOn('turn', { from: 'turn_id' })

/**
 * Turns. Their events are in the stream of their run and change the row of the run (`run/turns.ts`). The cleanups of
 * staged files have streams of their own, whose state counts them, and so have the pins of each workspace.
 */
export const turnAggregate = defineAggregate({
  commands: ['turn', 'staging', 'pin'],
  streams: {
    pin: stream(pinStream),
    staging: stream<{ count: number }, unknown>({ evolve: (state) => ({ count: (state?.count ?? 0) + 1 }) }),
  },
  events: turnEventSchemas,
  rendering: {
    'turn.staged': turnRow('turn.stage', 'success', 'info'),
    'turn.staging_rejected': turnRow('turn.stage', 'failure', 'warn', 'code'),
    'turn.validated': turnRow('turn.validate', 'success', 'info'),
    'turn.rejected': turnRow(
      { from: 'by', cases: { validation: 'turn.validate' }, otherwise: 'turn.reject' },
      'failure',
      'warn',
      'code',
      'reason',
    ),
    'turn.staging_cleaned': turnRow('turn.clean_staging', 'success', 'info', 'reason'),
    'turn.promoted': turnRow('turn.promote', 'success', 'info'),
    'turn.pinned': turnRow('turn.pin', 'success', 'info'),
    'turn.unpinned': rowsOn('turn', { from: 'name' })('turn.unpin', 'success', 'info'),
    'turn.promotion_rejected': turnRow('turn.promote', 'failure', 'warn', 'code'),
  },
  objects,
  reads,
  decide,
})

/** A list of issues, and the manifest of a proposal with the bodies, links and manifests that it names. */
function* objects({ data, type }: Entry, textOf: (digest: string) => string): Generator<NamedObject> {
  const { digest = null } = (data.issues ?? {}) as { digest?: string | null }
  if (digest !== null) yield { digest, kind: 'issues' }
  if (type !== 'turn.staged') return
  const manifest = String(data.manifest_digest)
  yield { digest: manifest, kind: 'proposal' }
  const { triplets } = JSON.parse(textOf(manifest)) as StagedSet
  for (const { body_digest, links_digest, manifest_digest } of triplets) {
    yield { digest: body_digest, kind: 'body' }
    yield { digest: links_digest, kind: 'links' }
    yield { digest: manifest_digest, kind: 'manifest' }
  }
}
