import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { equal, is, ok } from 'uvu/assert'
import { verifyCheckpoint, verifyProof } from '../../../src/verify.ts'
import { becca, type Cases, refused } from '../stage.ts'

const append = { events: [{ action_type: 'system' as const, outcome: 'success' as const }] }

export const keys: Cases<'keys'> = {
  of: {
    list: {
      'is the one key at first': async ({ api }) => {
        const { keys, vkey } = await api.keys.list()
        equal(keys, [{ from: 0, held: 'file', status: 'in_force', to: null, vkey }])
        is((await api.head.signed()).vkey, vkey)
      },
    },
    rotate: {
      'adds a key, and both keys sign': async ({ apart }) => {
        await apart({}, async ({ api }) => {
          const first = await api.head.signed()
          const { seq, size, vkey } = await api.keys.rotate({ actor: becca })
          equal([seq, size], [first.size, first.size])
          equal(
            (await api.keys.list()).keys.map(({ from, to, vkey }) => [from, to, vkey]),
            [
              [0, null, first.vkey],
              [size + 1, null, vkey],
            ],
          )
          const { checkpoint, vkey: text } = await api.head.signed()
          is(checkpoint.split('\n').filter((line) => line.startsWith('—')).length, 2)
          for (const key of [first.vkey, vkey, text]) ok((await verifyCheckpoint(checkpoint, key)).ok)
          await refused(api.keys.rotate({ actor: becca }), 'KEY_CONFLICT')
        })
      },
      'is for the release authority and operators': async ({ apart }) => {
        await apart({}, async ({ api }) => {
          await refused(api.keys.rotate(), 'KEY_DENIED')
          is((await api.keys.list()).keys.length, 1)
        })
      },
      'of two at once, one is refused': async ({ apart }) => {
        await apart({}, async ({ api }) => {
          const both = await Promise.allSettled([api.keys.rotate({ actor: becca }), api.keys.rotate({ actor: becca })])
          equal(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
          is((await api.keys.list()).keys.length, 2)
        })
      },
    },
    retire: {
      'ends the older key, and the first key still leads to the newer': async ({ apart }) => {
        await apart({}, async ({ api }) => {
          await refused(api.keys.retire({ actor: becca }), 'KEY_CONFLICT')
          const first = await api.head.signed()
          const added = await api.keys.rotate({ actor: becca })
          await refused(api.keys.retire(), 'KEY_DENIED')
          await refused(api.keys.retire({ actor: becca, vkey: 'nobody+00000000+AQ==' }), 'KEY_CONFLICT')
          const retired = await api.keys.retire({ actor: becca })
          is(retired.vkey, first.vkey)
          const { seq } = (await api.audit.append(append)).events[0] ?? { seq: 0 }
          const proof = await api.log.prove({ seq })
          is(proof.checkpoint.split('\n').filter((line) => line.startsWith('—')).length, 1)
          for (const vkey of [first.vkey, added.vkey, proof.vkey]) {
            is((await verifyProof(proof, { vkey })).ok, true, vkey)
          }
          // The first key alone does not know the newer one.
          is((await verifyCheckpoint(proof.checkpoint, first.vkey)).ok, false)
          await refused(api.head.signed({ size: first.size }), 'KEY_NOT_IN_FORCE')
          equal(
            (await api.keys.list()).keys.map(({ held, status, to }) => [held, status, to]),
            [
              ['missing', 'ended', retired.size],
              ['file', 'in_force', null],
            ],
          )
          // A second generation follows from the first key, too.
          await api.keys.rotate({ actor: becca })
          await api.keys.retire({ actor: becca })
          is((await verifyProof(await api.log.prove({ seq }), { vkey: first.vkey })).ok, true)
        })
      },
    },
    adopt: {
      'replaces a lost key against a kept checkpoint': async ({ apart }) => {
        await apart({}, async ({ api, root }) => {
          const kept = await api.head.signed()
          await refused(api.keys.adopt({ actor: becca, checkpoint: kept.checkpoint, reason: 'drill' }), 'KEY_CONFLICT')
          rmSync(join(root, '.lockstep/key'))
          await api.audit.append(append)
          await refused(api.head.signed(), 'KEY_MISSING')
          await refused(api.keys.rotate({ actor: becca }), 'KEY_MISSING')
          equal((await api.keys.list()).keys[0]?.held, 'missing')
          const forged = kept.checkpoint.replace(`\n${kept.size}\n`, `\n${kept.size + 1}\n`)
          await refused(api.keys.adopt({ actor: becca, checkpoint: forged, reason: 'drill' }), 'VERIFY_FAILED')
          await refused(api.keys.adopt({ checkpoint: kept.checkpoint, reason: 'drill' }), 'KEY_DENIED')
          const adopted = await api.keys.adopt({ actor: becca, checkpoint: kept.checkpoint, reason: 'drill' })
          is((await api.log.entry({ seq: adopted.seq })).data.checkpoint, kept.checkpoint)
          const { checkpoint, vkey } = await api.head.signed()
          for (const key of [adopted.vkey, vkey]) ok((await verifyCheckpoint(checkpoint, key)).ok)
          // Nothing that the old key signed leads to the adopted one.
          is((await verifyProof(await api.log.prove({ seq: 0 }), { vkey: kept.vkey })).ok, false)
        })
      },
    },
  },
}
