#!/usr/bin/env node
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { Script } from 'node:vm'
import type { runCommand as RunCommand } from './command.ts'

const bundle = fileURLToPath(new URL('command.cjs', import.meta.url))
const compiled = `${bundle}.compiled`
const digestBytes = 32

// An open handle must not keep a finished command alive. All output is written by then.
const { runCommand } = existsSync(bundle) ? loadBundle() : await import('./command.ts')
process.exit(await runCommand(process.argv.slice(2)))

/**
 * Loads the bundled program with the code that V8 compiled at build time, because compilation is most of the time of a
 * short command. V8 rejects code of another V8 version, and then compiles as usual. It does not check that the bytes
 * are unchanged, so the file begins with a digest of program and code (ADR 0022).
 */
function loadBundle(): { runCommand: typeof RunCommand } {
  const program = readFileSync(bundle)
  const source = `(function (module, exports, require, importMetaUrl) {${program.toString('latin1')}\n})`
  const code = codeOf(program)
  const script = new Script(source, { filename: bundle, ...(code === undefined ? {} : { cachedData: code }) })
  if (process.env.LOCKSTEP_COMPILE === bundle) {
    process.once('exit', () => {
      const made = script.createCachedData()
      writeFileSync(compiled, Buffer.concat([digestOf(program, made), made]))
    })
  }
  const module = { exports: {} }
  script.runInThisContext()(module, module.exports, createRequire(import.meta.url), import.meta.url)
  return module.exports as { runCommand: typeof RunCommand }
}

function codeOf(program: Uint8Array): Uint8Array | undefined {
  if (!existsSync(compiled)) return undefined
  const bytes = readFileSync(compiled)
  const code = bytes.subarray(digestBytes)
  return digestOf(program, code).equals(bytes.subarray(0, digestBytes)) ? code : undefined
}

function digestOf(program: Uint8Array, code: Uint8Array): Buffer {
  return createHash('sha256').update(program).update(code).digest()
}
