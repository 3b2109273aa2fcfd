import { createHash, createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import { is } from 'uvu/assert'
import { root } from '../runner.ts'

const formats = readFileSync(join(root, 'docs/reference/formats.md'), 'utf8')
const [, section = ''] = formats.split('\n## Free text\n')

function stated(what: string): string {
  return new RegExp(`\\| ${what} \\| \`([^\`]+)\` \\|`).exec(section)?.[1] ?? ''
}

// Only node:crypto and the sentences of the page are used here, as a foreign implementer would.
test('the worked example of a commitment and its leaf hash can be computed with HMAC and SHA-256 alone', () => {
  const [salt, path, text, commitment] = ['salt', 'path', 'text', 'commitment'].map(stated) as [
    string,
    string,
    string,
    string,
  ]
  const zero = Buffer.of(0)
  const message = Buffer.concat([
    Buffer.from('lockstep/free-text/v1'),
    zero,
    Buffer.from(path),
    zero,
    Buffer.from(text),
  ])
  is(createHmac('sha256', Buffer.from(salt, 'hex')).update(message).digest('hex'), commitment)
  const [, line = ''] = /```json\n(.+)\n```/.exec(section) ?? []
  is(JSON.parse(line).data.notes.commitment, commitment)
  const leaf = createHash('sha256').update(zero).update(line).digest('hex')
  is(leaf, stated('leaf hash of the line below'))
})

test.run()
