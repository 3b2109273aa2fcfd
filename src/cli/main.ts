#!/usr/bin/env node
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { Script } from 'node:vm'
import type * as Command from './command.ts'
import type * as Served from './served.ts'

const digestBytes = 32
const argv = process.argv.slice(2)

// An open handle must not keep a finished command alive. All output is written by then.
process.exit((await overService()) ?? (await asWhole()))

/**
 * Runs a short command over the service, with a small bundle that starts fast. A command that runs another one always
 * starts as a whole, because it passes on its descriptors as they were before any stream was opened.
 */
async function overService(): Promise<number | undefined> {
  if (argv.includes('--')) return undefined
  const bundle = besideThis('served.cjs')
  return existsSync(bundle) ? loadBundle<typeof Served>(bundle).runServed(argv) : undefined
}

async function asWhole(): Promise<number> {
  const bundle = besideThis('command.cjs')
  const { runCommand } = existsSync(bundle) ? loadBundle<typeof Command>(bundle) : await import('./command.ts')
  return runCommand(argv)
}

function besideThis(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url))
}

/**
 * Loads the bundled program with the code that V8 compiled at build time, because compilation is most of the time of a
 * short command. V8 rejects code of another V8 version, and then compiles as usual. It does not check that the bytes
 * are unchanged, so the file begins with a digest of program and code (ADR 0022).
 */
function loadBundle<Exports>(bundle: string): Exports {
  const compiled = `${bundle}.compiled`
  const program = readFileSync(bundle)
  const source = `(function (module, exports, require, importMetaUrl) {${program.toString('latin1')}\n})`
  const code = codeOf(program, compiled)
  const script = new Script(source, { filename: bundle, ...(code === undefined ? {} : { cachedData: code }) })
  if (process.env.LOCKSTEP_COMPILE === bundle) {
    process.once('exit', () => {
      const made = script.createCachedData()
      writeFileSync(compiled, Buffer.concat([digestOf(program, made), made]))
    })
  }
  const module = { exports: {} }
  script.runInThisContext()(module, module.exports, createRequire(import.meta.url), import.meta.url)
  return module.exports as Exports
}

function codeOf(program: Uint8Array, compiled: string): Uint8Array | undefined {
  if (!existsSync(compiled)) return undefined
  const bytes = readFileSync(compiled)
  const code = bytes.subarray(digestBytes)
  return digestOf(program, code).equals(bytes.subarray(0, digestBytes)) ? code : undefined
}

function digestOf(program: Uint8Array, code: Uint8Array): Buffer {
  return createHash('sha256').update(program).update(code).digest()
}
