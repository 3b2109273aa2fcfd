// limit: 120

import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import { openLedger } from '../../src/open.ts'
import { verifyCheckpoint, verifyProof } from '../../src/verify.ts'
import { root as projectRoot } from '../runner.ts'
import { temporaryRoot, testActor, withLedger } from '../support/ledger.ts'
import { asPlainError } from '../support/scene.ts'

const becca = { actor_id: 'BECCA', actor_type: 'human' } as const
const script = join(projectRoot, 'examples/signer/sign.sh')
const hasOpenssl = /^OpenSSL [3-9]/.test(spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout ?? '')
if (!hasOpenssl) console.log('openssl 3 is not here: only a command that offers no key is tested')

const signer = suite('a signer')

/** A folder of keys as the example has them, outside of the ledger. */
function keyFolder(): { add: (name: string) => void; path: string } {
  const path = temporaryRoot()
  const add = (name: string) => {
    const made = spawnSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', join(path, name)])
    is(made.status, 0, String(made.stderr))
  }
  return { add, path }
}

/** A command that does this. */
function command(text: string): string[] {
  const path = join(temporaryRoot(), 'sign')
  writeFileSync(path, `#!/bin/sh\n${text}\n`)
  chmodSync(path, 0o755)
  return [path]
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(String, (caught: unknown) => caught)
  return error instanceof LockstepError ? error.code : String(error)
}

signer('holds the only key of a ledger: no private key is ever in its folder, also after a rotation', async () => {
  if (!hasOpenssl) return
  const folder = keyFolder()
  folder.add('1.pem')
  await withLedger(
    async (ledger, root) => {
      const home = join(root, '.lockstep')
      const first = await ledger.head.signed()
      ok((await verifyCheckpoint(first.checkpoint, first.vkey)).ok)
      equal(
        (await ledger.keys.list()).keys.map(({ held }) => held),
        ['signer'],
      )
      is(await codeOf(ledger.keys.rotate({ actor: becca })), 'KEY_CONFLICT')
      folder.add('2.pem')
      const added = await ledger.keys.rotate({ actor: becca })
      const both = await ledger.head.signed()
      for (const vkey of [first.vkey, added.vkey]) ok((await verifyCheckpoint(both.checkpoint, vkey)).ok)
      await ledger.keys.retire({ actor: becca })
      ok((await verifyProof(await ledger.log.prove({ seq: 0 }), { vkey: first.vkey })).ok)
      const texts = readdirSync(home, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name !== 'LOCK')
        .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
      is(
        texts.some((text) => text.includes('PRIVATE KEY')),
        false,
      )
      is(existsSync(join(home, 'key')), false)
    },
    { config: { signer: { command: [script, folder.path] } } },
  )
})

signer('takes over from a key file by a rotation', async () => {
  if (!hasOpenssl) return
  const folder = keyFolder()
  folder.add('1.pem')
  await withLedger(async (ledger, root) => {
    const path = join(root, '.lockstep/config.json')
    const first = await ledger.head.signed()
    const config = JSON.parse(readFileSync(path, 'utf8')) as object
    writeFileSync(path, JSON.stringify({ ...config, signer: { command: [script, folder.path] } }))
    // An edit of the file alone runs no command.
    is((await ledger.keys.list()).keys.length, 1)
    await ledger.config.reload({ actor: becca })
    await ledger.keys.rotate({ actor: becca })
    equal(
      (await ledger.keys.list()).keys.map(({ held }) => held),
      ['file', 'signer'],
    )
    await ledger.keys.retire({ actor: becca })
    is(existsSync(join(root, '.lockstep/key')), false)
    const { checkpoint, vkey } = await ledger.head.signed()
    is(vkey.split('\n')[0], first.vkey)
    ok((await verifyCheckpoint(checkpoint, vkey)).ok)
  })
})

signer('that fails is a coded error, and appends go on', async () => {
  const event = { action_type: 'system' as const, outcome: 'success' as const }
  const wrong = Buffer.alloc(64).toString('base64')
  const failures: [text: string, what: RegExp][] = [
    ['exit 3', /exit status 3/],
    ['echo nothing', /did not answer with 64 bytes/],
    [`echo ${wrong}`, /does not sign with the key/],
    ['head -c 100000 /dev/zero', /wrote too much/],
    ['sleep 60 & sleep 60', /within/],
  ]
  if (!hasOpenssl) return
  const folder = keyFolder()
  folder.add('1.pem')
  for (const [text, what] of failures) {
    // A ledger is made with a signer that works, because its first head is signed. Later the signer fails.
    const words = command(`if [ -e "$0.broken" ]; then\n${text}\nelse exec '${script}' '${folder.path}'; fi`)
    await withLedger(
      async (ledger) => {
        writeFileSync(`${words[0]}.broken`, '')
        await ledger.audit.append({ events: [event] })
        const error = await ledger.head.signed().catch((caught: unknown) => caught)
        ok(error instanceof LockstepError, text)
        is((error as LockstepError).code, 'SIGNER_FAILED')
        match((error as LockstepError).message, what)
        await ledger.audit.append({ events: [event] })
        is(await codeOf(ledger.log.prove({ seq: 0 })), 'SIGNER_FAILED')
        await ledger.log.verify()
      },
      { config: { signer: { command: words } } },
    ).catch(asPlainError)
  }
})

signer('must be named by an absolute path, and makes no ledger if it offers no key', async () => {
  for (const words of [['sign'], ['./sign'], [], [join(temporaryRoot(), 'missing')], command('exit 1')]) {
    const root = temporaryRoot()
    const made = openLedger({ actor: testActor, config: { signer: { command: words } }, create: true, dir: root })
    ok(['INVALID_INPUT', 'SIGNER_FAILED'].includes(await codeOf(made)), words.join(' '))
    equal(readdirSync(root), [])
  }
})

signer.run()
