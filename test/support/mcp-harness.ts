/** A harness as a process of its own: it acquires a lock through the server that it starts, and then does nothing. */
import { connectClient } from './mcp.ts'

const [dir = ''] = process.argv.slice(2)
const client = await connectClient('client 2 of 2026', { dir })
const { outcome } = await client.done('lock_acquire', { names: ['reports'], lease_s: 3_600 })
console.log(outcome)
