import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import { perform } from '../../src/nouns/runs/performing.ts'
import { entriesOf } from '../support/entries.ts'
import { withStage } from './stage.ts'

const test = suite('messages that work throws')
const confidentiality = { contains_phi: false, contains_pii: false, contains_privileged: false }
const artifact = { artifact_id: 'art-1', artifact_kind: 'playbook', confidentiality, hash_sha256: 'ab'.repeat(32) }
const ana = { actor_id: 'ana', actor_type: 'human' } as const

for (const thrown of [new Error('Mandantin:Erika-Muster'), new LockstepError('NOT_FOUND', 'Muster')]) {
  test(`raw text is not in the entries of a lane that prohibits it: ${String(thrown)}`, () =>
    withStage(async (ledger) => {
      await ledger.policy.reload()
      const scope = { attorney_signoff: true, promotion_ticket_id: 'PT-1', run_id: 'run_shared_1' }
      const action = {
        action_type: 'promotion' as const,
        artifacts: [artifact],
        lane_id: 'PROMOTE_SHARED_KNOWLEDGE',
        scope,
        target: { mode: 'append', name: 'shared_playbooks' },
      }
      const request = { action, actor: ana, role_id: 'ATTORNEY_ADMIN', run_id: 'run_shared_1' }
      const failed = await perform(ledger, request, () => Promise.reject(thrown)).catch((caught) => caught)
      assert.is(failed, thrown)
      const run = await ledger.runs.get({ run_id: 'run_shared_1' })
      assert.is(run.status, 'failed')
      assert.is(run.error?.error_code, thrown instanceof LockstepError ? thrown.code : 'WORK_FAILED')
      assert.not(JSON.stringify(await entriesOf(ledger)).includes('Muster'))
    }))
}

test.run()
