// Passkeys: between what the controller sends (base64url in JSON) and what the
// browser's own interface wants.

export function passkeysSupported(): boolean {
  return window.isSecureContext && typeof PublicKeyCredential === 'function';
}

function toBytes(text: string): ArrayBuffer {
  const plain = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
  const out = new Uint8Array(plain.length);
  for (let i = 0; i < plain.length; i++) out[i] = plain.charCodeAt(i);
  return out.buffer;
}

function toText(bytes: ArrayBuffer | null): string {
  const plain = Array.from(new Uint8Array(bytes ?? new ArrayBuffer(0)), (b) => String.fromCharCode(b)).join('');
  return btoa(plain).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

interface Descriptor {
  id: string;
  type: 'public-key';
  transports?: AuthenticatorTransport[];
}

// Options as the controller sends them, without the word publicKey around them.
type RequestOptions = Omit<PublicKeyCredentialRequestOptions, 'challenge' | 'allowCredentials'> & { challenge: string; allowCredentials?: Descriptor[] };
type CreationOptions = Omit<PublicKeyCredentialCreationOptions, 'challenge' | 'user' | 'excludeCredentials'> & {
  challenge: string;
  user: { id: string; name: string; displayName: string };
  excludeCredentials?: Descriptor[];
};

const descriptors = (list: Descriptor[] | undefined) => list?.map((each) => ({ ...each, id: toBytes(each.id) }));

/** Lets the user show a passkey. Rejects when he doesn't. */
export async function showPasskey(options: unknown): Promise<unknown> {
  const publicKey = options as RequestOptions;
  const credential = await navigator.credentials.get({
    publicKey: { ...publicKey, challenge: toBytes(publicKey.challenge), allowCredentials: descriptors(publicKey.allowCredentials) ?? [] },
  });
  if (!(credential instanceof PublicKeyCredential)) throw new Error('no passkey');
  const answer = credential.response as AuthenticatorAssertionResponse;
  return {
    id: credential.id,
    rawId: toText(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: {
      authenticatorData: toText(answer.authenticatorData),
      clientDataJSON: toText(answer.clientDataJSON),
      signature: toText(answer.signature),
      userHandle: answer.userHandle ? toText(answer.userHandle) : undefined,
    },
  };
}

/** Lets the user make a passkey. Rejects when he doesn't. */
export async function makePasskey(options: unknown): Promise<unknown> {
  const publicKey = options as CreationOptions;
  const credential = await navigator.credentials.create({
    publicKey: {
      ...publicKey,
      challenge: toBytes(publicKey.challenge),
      user: { ...publicKey.user, id: toBytes(publicKey.user.id) },
      excludeCredentials: descriptors(publicKey.excludeCredentials) ?? [],
    },
  });
  if (!(credential instanceof PublicKeyCredential)) throw new Error('no passkey');
  const answer = credential.response as AuthenticatorAttestationResponse;
  return {
    id: credential.id,
    rawId: toText(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: {
      attestationObject: toText(answer.attestationObject),
      clientDataJSON: toText(answer.clientDataJSON),
      transports: answer.getTransports?.(),
    },
  };
}
