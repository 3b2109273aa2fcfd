import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { parse } from 'yaml'
import { policyFileFacts, policySchemas } from '../../contract/policy-keys.ts'
import { brokenLanes, lanes, odd, roles } from '../../fixtures/policy/files.ts'

const keys = suite('the keys of policy files')

const schemas = new Map(
  Object.keys(policyFileFacts).map((name) => {
    const text = policySchemas().get(`contract/v1/policy/${name}.schema.json`) ?? ''
    return [name, JSON.parse(text) as Record<string, unknown>]
  }),
)
const accepts = (name: string, text: string): boolean =>
  new Ajv({ strict: false }).compile(schemas.get(name) ?? false)(parse(text))

/** The schema of one key, by its path such as `lanes[].scope.requires`. */
function schemaOf(name: string, key: string): Record<string, unknown> {
  let node = schemas.get(name) as Record<string, unknown>
  for (const step of key.replaceAll('[]', '.[]').split('.')) {
    const of = step === '[]' ? node.items : (node.properties as Record<string, unknown>)[step]
    ok(of, `${name} has no ${key}`)
    node = of as Record<string, unknown>
  }
  return node
}

for (const [name, { keys: rows }] of Object.entries(policyFileFacts)) {
  keys(`each example of ${name}.yaml is a value of its key`, () => {
    for (const [key, [about, example]] of Object.entries(rows)) {
      ok(about.endsWith('.'), key)
      // An example with an ellipsis is only the outline of a value.
      if (example.includes('…')) continue
      const isValue = new Ajv({ strict: false }).compile(schemaOf(name, key))
      is(isValue(parse(example)), true, `${key}: ${example}`)
    }
  })

  keys(`docs/reference/policy.md names each key of ${name}.yaml`, () => {
    const page = readFileSync('docs/reference/policy.md', 'utf8')
    for (const key of Object.keys(rows)) ok(page.includes(`| \`${key}\` |`), key)
  })
}

keys('the schemas accept the shipped files, and each file names its schema', () => {
  for (const folder of ['contract/v1/policy', 'examples/policy/case-work']) {
    for (const name of schemas.keys()) {
      const text = readFileSync(`${folder}/${name}.yaml`, 'utf8')
      is(accepts(name, text), true, `${folder}/${name}.yaml`)
      ok(new RegExp(`^# yaml-language-server: \\$schema=[./\\w]*${name}\\.schema\\.json\\n`).test(text), folder)
    }
  }
})

keys('the schemas accept what is odd but usable', () => {
  for (const [title, lanesText, rolesText] of odd) {
    equal([accepts('lanes', lanesText), accepts('roles', rolesText)], [true, true], title)
  }
})

keys('the schemas refuse each unknown key that the command refuses', () => {
  const unknown = brokenLanes.filter(
    ([, text, ...says]) => typeof text === 'string' && says.some((one) => `${one}`.includes('known key')),
  )
  ok(unknown.length > 5)
  for (const [title, text] of unknown) is(accepts('lanes', String(text)), false, title)
  is(accepts('lanes', lanes) && accepts('roles', roles), true)
})

keys.run()
