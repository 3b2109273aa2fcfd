import { hash } from 'node:crypto'
import type { HashSync } from '../merkle/hash.ts'

/** SHA-256 by Node, in one call. */
export const sha256: HashSync = (bytes) => Buffer.from(hash('sha256', bytes, 'binary'), 'latin1')
