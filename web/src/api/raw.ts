// Calls whose body or answer is no JSON.
import { ApiError } from './client';

/** What the controller said about a call that it did not carry out. */
export async function problemOf(response: Response): Promise<ApiError> {
  try {
    const answer = (await response.json()) as { error?: { code: string; message: string; details?: unknown }; request_id?: string };
    const { code, message, details } = answer.error ?? { code: 'BAD_ANSWER', message: '', details: undefined };
    return new ApiError(response.status, code, message, details, answer.request_id ?? '');
  } catch {
    return new ApiError(response.status, 'BAD_ANSWER', '');
  }
}

export async function reach(input: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(input, { credentials: 'same-origin', ...init });
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause;
    throw new ApiError(0, 'UNREACHABLE', '');
  }
}
