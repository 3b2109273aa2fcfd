import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'

const statements = suite('lockstep audit append')

statements('takes the case, lane, role and artifacts of an event, and the listing marks it as stated', async () => {
  const cwd = temporaryRoot()
  await lockstep(['init'], { cwd })
  const artifact = { artifact_id: 'art-1', artifact_kind: 'transcript', hash_sha256: 'ab'.repeat(32) }
  writeFileSync(join(cwd, 'artifacts.json'), JSON.stringify([artifact]))
  const about = ['--case', 'CASE-17', '--lane', 'WRITE_INTAKE_ARTIFACTS', '--role', 'INTAKE_AGENT']
  const artifacts = ['--inputs', 'artifacts.json', '--outputs', 'artifacts.json']
  const words = ['audit', 'append', '--outcome', 'success', '--target', 'tool:scanner', ...about, ...artifacts]
  is((await lockstep(words, { cwd })).status, 0)
  const [event] = (await lockstep(['audit', 'list', '--case', 'CASE-17'], { cwd })).json.events as [{ stated: boolean }]
  const { case_id, input_artifacts, lane_id, output_artifacts, role_id, stated } = event as Record<string, unknown>
  equal(
    [case_id, lane_id, role_id, stated, input_artifacts, output_artifacts],
    ['CASE-17', 'WRITE_INTAKE_ARTIFACTS', 'INTAKE_AGENT', true, [artifact], [artifact]],
  )
  match(
    (await lockstep(['audit', 'list', '--case', 'CASE-17'], { cwd, isForPeople: true })).stdout,
    / {2}stated success( |$)/m,
  )
  const forged = ['audit', 'append', '--outcome', 'success', '--target', 'run:run_draft1']
  const { json, status } = await lockstep(forged, { cwd })
  equal([status, json.code], [4, 'STATEMENT_DENIED'])
  await endsWithVerify(cwd)
})

statements.run()
