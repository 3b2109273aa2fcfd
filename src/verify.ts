// This module is published as `lockstep/verify`. It checks a ledger's claims without the ledger, also in a browser. It
// needs `crypto.subtle` with SHA-256 and, for checkpoints, Ed25519; browsers give it to secure origins alone. No input
// makes it throw.

export { type Trust, type VerifiedCheckpoint, verifyCheckpoint } from './proof/checkpoint.ts'
export { type VerifiedTexts, verifyDisclosures } from './proof/disclosures.ts'
export {
  type EntryClaim,
  leafHashOf,
  type VerifiedEntry,
  type VerifiedProof,
  verifyEntry,
  verifyProof,
} from './proof/entry.ts'
export { type VerifiedGrowth, verifyConsistencyProof, verifyGrowth } from './proof/growth.ts'
export type { Check, Failed } from './proof/result.ts'
export { type VerifiedTlogProof, verifyTlogProof } from './proof/tlog-proof.ts'
export type { Witnessed } from './proof/witnesses.ts'
