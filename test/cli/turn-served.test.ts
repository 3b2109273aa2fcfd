import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import { type ServiceProcess, withServiceProcess } from '../client/service-process.ts'
import { lockstep } from '../support/command.ts'
import { stageFile, stageStem } from '../support/staging.ts'

const test = suite('lockstep turn over a service')
const run_id = 'run_served_1'
const of = (turn: number) => ['--run', run_id, '--turn', `turn-${String(turn).padStart(4, '0')}`]

/** A service with a running run, and a command that calls it. */
function served(work: (call: Call, root: string) => Promise<void>): () => Promise<void> {
  return withServiceProcess(async ({ root, start }: ServiceProcess) => {
    const call: Call = async (status, words, options = {}) => {
      const ended = await lockstep(['--dir', root, ...words], options)
      is(ended.status, status, `${words.join(' ')}: ${ended.stdout}${ended.stderr}`)
      return { ...ended.json, stderr: ended.stderr }
    }
    await call(0, ['policy', 'reload'])
    await start()
    await call(0, ['run', 'create', '--kind', 'orchestrator', '--run-id', run_id])
    await call(0, ['run', 'start', run_id])
    await work(call, root)
  })
}
type Call = (
  status: number,
  words: string[],
  options?: Parameters<typeof lockstep>[1],
) => Promise<Record<string, unknown>>

test(
  'the files of a directory are staged as they are without a service',
  served(async (call, root) => {
    const out = join(root, 'out')
    const links = { next: { type: 'page', id: 'b' } }
    stageStem(out, 'a', { body: { dto_type: 'page', id: 'a' }, links, manifest: { v: 1 } })
    stageStem(out, 'b', { body: { dto_type: 'page', id: 'b' } })
    await call(0, ['turn', 'apply', ...of(1), '--from', out])
    const shown = await call(0, ['stem', 'show', 'a', '--run', run_id])
    equal([shown.body, shown.links, shown.manifest], [{ dto_type: 'page', id: 'a' }, links, { v: 1 }])
  }),
)

test(
  'a directory that is larger than any body is staged without being told',
  served(async (call, root) => {
    const out = join(root, 'out')
    for (let page = 0; page < 24; page += 1) stageFile(out, `page-${page}.txt`, `${page}\n${'text '.repeat(160_000)}`)
    const applied = await call(0, ['turn', 'apply', ...of(1), '--from', out, '--key', 'k'])
    is((applied.promoted_stems as unknown[]).length, 24)
    const copy = readFileSync(join(root, `workspace/run/${run_id}/current/page-7.txt`))
    equal(copy, readFileSync(join(out, 'page-7.txt')))
  }),
)

test(
  'an input that the service refuses is refused as such',
  served(async (call, root) => {
    stageStem(join(root, 'out'), 'a', { body: {} })
    const words = ['turn', 'apply', '--run', 'short', '--turn', 'turn-0001', '--from', join(root, 'out')]
    const refused = await call(2, words, { isForPeople: true })
    match(String(refused.stderr), /INVALID_INPUT/)
  }),
)

test.run()
