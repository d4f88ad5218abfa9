// Uploads over the tus protocol: in parts, each with its checksum, going on where
// they were after a break. Loaded with the first upload.
import { DefaultHttpStack, DetailedError, Upload, type HttpRequest, type HttpResponse, type HttpStack } from 'tus-js-client';
import { ApiError, csrfHeader } from './client';
import { backoff } from './live';

export interface UploadHooks {
  progress: (sent: number, total: number) => void;
  done: () => void;
  fail: (error: ApiError) => void;
}

/** An upload under way. */
export interface Sending {
  /** Stops, and drops what is there. */
  cancel: () => void;
}

const part = 8 << 20;

class Summed implements HttpRequest {
  private readonly inner: HttpRequest;

  constructor(inner: HttpRequest) {
    this.inner = inner;
  }

  getMethod = () => this.inner.getMethod();
  getURL = () => this.inner.getURL();
  setHeader = (name: string, value: string) => this.inner.setHeader(name, value);
  getHeader = (name: string) => this.inner.getHeader(name);
  setProgressHandler = (run: (sent: number) => void) => this.inner.setProgressHandler(run);
  abort = () => this.inner.abort();
  getUnderlyingObject = () => this.inner.getUnderlyingObject() as object;

  // Browsers reckon sums only on pages that came by https, or from this machine.
  async send(body?: unknown): Promise<HttpResponse> {
    if (body instanceof Blob && body.size > 0 && globalThis.crypto?.subtle) {
      const sum = new Uint8Array(await crypto.subtle.digest('SHA-256', await body.arrayBuffer()));
      this.inner.setHeader('Upload-Checksum', `sha256 ${btoa(String.fromCharCode(...sum))}`);
    }
    return this.inner.send(body);
  }
}

class SummedStack implements HttpStack {
  private readonly inner = new DefaultHttpStack({});

  createRequest(method: string, url: string): HttpRequest {
    return new Summed(this.inner.createRequest(method, url));
  }

  getName(): string {
    return 'berth';
  }
}

const waits = Array.from({ length: 20 }, (_, tries) => backoff(tries));

/** Sends a file to a path of an instance. */
export function sendFile(instance: string, file: File, path: string, overwrite: boolean, hooks: UploadHooks): Sending {
  const upload = new Upload(file, {
    endpoint: `/api/v1/instances/${encodeURIComponent(instance)}/files/uploads`,
    chunkSize: part,
    retryDelays: waits,
    // Where it was is asked of the controller; nothing is kept in the browser.
    storeFingerprintForResuming: false,
    uploadDataDuringCreation: file.size <= part,
    httpStack: new SummedStack(),
    metadata: { path, filename: file.name, overwrite: String(overwrite) },
    onBeforeRequest: (request) => {
      for (const [name, value] of Object.entries(csrfHeader())) request.setHeader(name, value);
    },
    onShouldRetry: (error) => {
      const status = error.originalResponse?.getStatus() ?? 0;
      // 460: a part whose checksum didn't fit; it is sent again.
      return status === 0 || status === 423 || status === 429 || status === 460 || status >= 500;
    },
    onProgress: hooks.progress,
    onSuccess: () => hooks.done(),
    onError: (error) => hooks.fail(toApiError(error)),
  });
  upload.start();
  return { cancel: () => void upload.abort(true).catch(() => undefined) };
}

function toApiError(error: Error): ApiError {
  const response = error instanceof DetailedError ? error.originalResponse : null;
  if (!response) return new ApiError(0, 'UNREACHABLE', '');
  try {
    const answer = JSON.parse(response.getBody()) as { error?: { code: string; message: string; details?: unknown } };
    return new ApiError(response.getStatus(), answer.error?.code ?? 'BAD_ANSWER', answer.error?.message ?? '', answer.error?.details);
  } catch {
    return new ApiError(response.getStatus(), 'BAD_ANSWER', '');
  }
}
