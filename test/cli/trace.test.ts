import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { serve } from '../../src/service/serve.ts'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'

const traces = suite('the trace of a command')

const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
type Listed = { entries: { trace?: unknown }[] }

traces('is that of its environment, whether or not a service has the ledger; an invalid one is ignored', async () => {
  const dir = temporaryRoot()
  const run = async (words: readonly string[], env: Record<string, string> = {}) => {
    const ended = await lockstep(words, { cwd: dir, env })
    is(ended.status, 0, `${words.join(' ')}: ${ended.stdout}${ended.stderr}`)
    return ended.json
  }
  const newest = async () =>
    ((await run(['audit', 'list', '--entries', '--limit', '500'])) as Listed).entries.at(-1)?.trace
  const inEach = async () => {
    await run(['audit', 'append', '--outcome', 'success'], { TRACEPARENT: traceparent, TRACESTATE: 'a=1' })
    equal(await newest(), { traceparent, tracestate: 'a=1' })
    await run(['audit', 'append', '--outcome', 'success'], { TRACEPARENT: 'none' })
    is(await newest(), undefined)
  }
  await run(['init'])
  await inEach()
  const ledger = await openLedger({ dir, is_service: true })
  const service = await serve(ledger, { log: false })
  await inEach().finally(async () => {
    await service.close()
    await ledger.close()
  })
  await endsWithVerify(dir)
})

traces.run()
