import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { mediaTypes, paths } from '../../src/api/wire.ts'
import { readText } from '../../src/cli/input-file.ts'
import { jsonIn } from '../../src/cli/values.ts'
import { readConfig } from '../../src/disk/config-file.ts'
import { lockstep } from '../support/command.ts'
import { refusalOf } from '../support/deliverable.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'
import { ask, linesIn, post, problemIn, withService } from '../support/service.ts'

const strict = suite('strict input')
const folder = temporaryRoot()

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

const event = '{"action_type":"system","outcome":"success"}'
const twice = '{"action_type":"system","outcome":"failure","outcome":"success"}'
const escaped = '{"action_type":"system","outcome":"failure","\\u006futcome":"success"}'
const unknown = '{"action_type":"system","outcome":"success","outcom":"success"}'
const nested = `${'['.repeat(70)}${']'.repeat(70)}`
/** The text of an event with a byte that is not UTF-8. */
const broken = Buffer.concat([
  Buffer.from('{"action_type":"system","outcome":"success","notes":"'),
  Buffer.of(0xff, 0x22, 0x7d),
])

strict(
  'a file of events with a duplicate member, an unknown member or invalid UTF-8 is refused, with its place',
  async () => {
    const cwd = temporaryRoot()
    await lockstep(['init'], { cwd })
    const size = async () => Number((await lockstep(['head'], { cwd })).json.size)
    const before = await size()
    for (const [content, says] of [
      [twice, /a member occurs twice, at \/outcome/],
      [escaped, /a member occurs twice, at \/outcome/],
      [`[${event},${twice}]`, /a member occurs twice, at \/1\/outcome/],
      [`${event}\n${twice}\n`, /line 2 .*a member occurs twice, at \/outcome/],
      [`${event}\n{"action_type":\n`, /line 2 .*is not JSON/],
      [unknown, /outcom/],
      [`${event}\n${unknown}`, /outcom/],
      [broken, /is not valid UTF-8/],
      [nested, /nested too deeply/],
    ] as const) {
      const { status, stdout } = await lockstep(['audit', 'append', '--file', file('events', content)], { cwd })
      is(status, 2, stdout)
      match(stdout, says)
    }
    is(await size(), before)
    const good = file('events', `${event}\n${event.replace('}', ',"outcome_reason":"a\\u00e4"}')}`)
    is((await lockstep(['audit', 'append', '--file', good], { cwd })).status, 0)
    is(await size(), before + 2)
    await endsWithVerify(cwd)
  },
)

strict('a configuration with a duplicate member, an unknown member or invalid UTF-8 is refused', async () => {
  for (const [content, says] of [
    ['{"operators":["ana"],"operators":[]}', /operators: a member occurs twice/],
    ['{"turn_limits":{"stems":1,"stems":2}}', /turn_limits\.stems: a member occurs twice/],
    ['{"operator":["ana"]}', /operator/],
    [Buffer.from([0x7b, 0xff, 0x7d]), /is not UTF-8/],
    [`{"operators":${nested}}`, /nested too deeply/],
  ] as const) {
    const { code, message } = await refusalOf(() => readConfig(file('config.json', content)))
    is(code, 'CONFIG_INVALID')
    match(message, says)
  }
  equal(readConfig(file('config.json', '\ufeff{"operators":["ana"]}')).config.operators, ['ana'])
})

strict('a JSON document for an option is refused if a member occurs twice', async () => {
  const { code, message } = await refusalOf(() => jsonIn(file('document', '{"a":{"b":1,"b":2}}')))
  equal([code, /a member occurs twice, at \/a\/b/.test(message)], ['INVALID_INPUT', true])
  is((await refusalOf(() => readText(file('text', broken), 1_000))).code, 'INVALID_INPUT')
})

strict('a body or line of a batch with a duplicate member, or nested too deeply, is refused', () =>
  withService(async ({ address }, ledger) => {
    const { size } = await ledger.head.get()
    const send = (body: string | Uint8Array) =>
      ask(address, '/v1/audit/append', { body: body as string, headers: { 'content-type': mediaTypes.json } })
    match(problemIn(await send(`{"events":[${twice}]}`), 'INVALID_INPUT').detail, /twice, at \/events\/0\/outcome/)
    match(problemIn(await send('{"events":[],"events":[]}'), 'INVALID_INPUT').detail, /twice, at \/events/)
    match(problemIn(await send(`{"events":${nested}}`), 'INVALID_INPUT').detail, /nested too deeply/)
    problemIn(await send(`{"events":[${event.replace('}', ',"notes":"\\ud800"}')}]}`), 'INVALID_INPUT')
    problemIn(await ask(address, `/v1/audit/list?cursor=${encodeURIComponent('{"a":1,"a":1}')}`), 'INVALID_INPUT')
    const body = [
      `{"call":"audit.append","input":{"events":[${twice}]}}`,
      `{"call":"audit.append","call":"log.get","input":{}}`,
    ]
    const headers = { 'content-type': mediaTypes.lines }
    const answer = await ask(address, paths.batch, { body: body.join('\n'), headers })
    const problems = answer.status === 200 ? linesIn(answer.text) : [JSON.parse(answer.text)]
    ok(JSON.stringify(problems).includes('occurs twice'), answer.text)
    is((await ledger.head.get()).size, size)
    is((await post(address, '/v1/audit/append', { events: [JSON.parse(event)] })).status, 200)
  }),
)

strict.run()
