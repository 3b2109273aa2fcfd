import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { root as project } from '../runner.ts'
import { linesIn, withService } from '../support/service.ts'

const guide = suite('docs/how-to/run-the-service.md')
const page = readFileSync(join(project, 'docs/how-to/run-the-service.md'), 'utf8')
const scripts = [...page.matchAll(/<!-- run by test\/docs\/service\.test\.ts -->\n```sh\n([\s\S]*?)```/g)].map(
  ([, script = '']) => script,
)

guide('has examples that can be typed one after another', async () => {
  is(scripts.length, 5)
  await withService(async ({ socket = '' }, ledger) => {
    // The root of a test may have a path that is too long for a socket.
    const script = `set -e\n${scripts.join('\n')}`.replace('.lockstep/service.sock', `'${socket}'`)
    const child = spawn('sh', ['-c', script], { cwd: ledger.dir })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk) => {
      stdout += chunk
    })
    child.stderr.on('data', (chunk) => {
      stderr += chunk
    })
    const [code] = await once(child, 'close')
    is(code, 0, `${stdout}\n${stderr}`)
    match(stdout, /"state":"held"/)
    match(stdout, /^\{"end":true\}$/m)
    match(stdout, /^id: 0$/m)
    match(stdout, /"ready":true/)
    match(stdout, /^lockstep_head_size \d+$/m)
    ok(!stdout.includes('"status":4'), stdout)
    const batch = linesIn(stdout.slice(stdout.indexOf('{"status":200'), stdout.lastIndexOf('{"status":200')))
    is(batch.length, 2)
    const types: string[] = []
    for await (const { type } of ledger.log.read({ from: 1 })) types.push(type)
    equal(types, ['lock.acquired', 'lock.released', 'lock.acquired', 'lock.acquired', 'audit.recorded'])
  })
})

guide.run()
