import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileError } from '../disk/durable.ts'
import { inCode } from '../disk/package-folder.ts'
import { LockstepError, systemCodeOf } from '../errors.ts'
import { isThere } from '../files/bundle/export-files.ts'

/** The page that was written, and its SHA-256, which tells two readers that they have the same page. */
export type WrittenPage = { page: string; sha256: string }

/**
 * Writes the page that checks proofs, growths and bundles in a browser, as it is in this package. An existing file is
 * never replaced. `more` are the other options of the call: none of them goes with a page. Errors: INVALID_INPUT,
 * FILE_DENIED, FILE_FAILED, DISK_FULL.
 */
export function writePage(file: string, more: readonly unknown[]): WrittenPage {
  if (more.some((value) => value !== undefined && value !== false)) {
    throw new LockstepError('INVALID_INPUT', '--page writes a page and verifies nothing, so it takes no other option')
  }
  const page = resolve(file)
  try {
    const bytes = readFileSync(inCode('cli/verify-page.html'))
    writeFileSync(page, bytes, { flag: 'wx' })
    return { page, sha256: createHash('sha256').update(bytes).digest('hex') }
  } catch (error) {
    throw systemCodeOf(error) === 'EEXIST' ? isThere(page) : fileError(error, `writing ${page}`)
  }
}
