import { screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { speak } from '@/text';
import { controller, show } from '../../../tests/render';
import ImportPage from './ImportPage';

interface Body {
  files: { name: string; text: string }[];
  apart_from?: string[];
}

const taken = (file: string) => ({ file, status: 'imported', format: 'PTDL_v2', name: `Image of ${file}`, image_id: `id-${file}`, changes: [], ignored: ['file_denylist'], error: '' });
const refused = (file: string) => ({ file, status: 'refused', format: 'PTDL_v2', name: '', changes: [], ignored: [], error: 'line 3, variables: no name' });
const answer = (body: unknown) => ({ status: 201, data: { files: (body as Body).files.map(({ name, text }) => (text === 'broken' ? refused(name) : taken(name))) } });
// jsdom reads no files.
const text = (name: string, content = '{}') => Object.assign(new File([content], name, { type: 'application/json' }), { text: () => Promise.resolve(content) });

const choose = (...files: File[]) => userEvent.upload(screen.getByLabelText('Choose files', { selector: 'input' }), files, { applyAccept: false });
// What is told of one line is a list of its own.
const lines = () => [...screen.getByRole('list', { name: 'Report' }).children];

describe('the import', () => {
  beforeAll(() => speak('en'));
  afterEach(() => vi.unstubAllGlobals());

  it('tells what became of each file, and narrows it', async () => {
    const c = controller({ 'POST /api/v1/images/import': answer });
    vi.stubGlobal('fetch', c.fetch);
    show(<ImportPage />);
    await choose(text('a.json'), text('b.yaml', 'broken'), text('README.md'));
    await waitFor(() => expect(lines()).toHaveLength(3));
    expect((c.asked[0]?.body as Body).files.map((each) => each.name)).toEqual(['a.json', 'b.yaml']);
    expect(screen.getByRole('link', { name: 'Image of a.json' })).toHaveAttribute('href', '/images/id-a.json');
    expect(screen.getByText('It is no JSON or YAML file.')).toBeVisible();
    await userEvent.click(screen.getByRole('button', { name: 'Refused 1' }));
    expect(lines()).toHaveLength(1);
    expect(lines()[0]).toHaveTextContent('line 3, variables: no name');
  });

  it('sends many in several calls, and says which are of the same import', async () => {
    const c = controller({ 'POST /api/v1/images/import': answer });
    vi.stubGlobal('fetch', c.fetch);
    show(<ImportPage />);
    await choose(...Array.from({ length: 101 }, (_, n) => text(`${n}.json`)));
    await waitFor(() => expect(lines()).toHaveLength(101));
    const bodies = c.asked.map((each) => each.body as Body);
    expect(bodies.map((each) => each.files.length)).toEqual([100, 1]);
    expect(bodies[0]).not.toHaveProperty('apart_from');
    expect(bodies[1]?.apart_from).toHaveLength(100);
  });

  it('says how far it came when it is broken off', async () => {
    vi.stubGlobal('fetch', controller({ 'POST /api/v1/images/import': { status: 503, error: { code: 'RESOURCE_BUSY', message: 'come back later' } } }).fetch);
    show(<ImportPage />);
    await choose(text('a.json'));
    expect(await screen.findByText('come back later')).toBeVisible();
    expect(screen.getByText(/^0 of 1 files were sent/)).toBeVisible();
  });

  it('takes an address, and says at the field why not', async () => {
    const c = controller({ 'POST /api/v1/images/import': { status: 422, error: { code: 'VALIDATION_ERROR', message: 'no', details: [{ field: 'url', message: 'it is not on the public internet' }] } } });
    vi.stubGlobal('fetch', c.fetch);
    show(<ImportPage />);
    await userEvent.type(screen.getByRole('textbox', { name: 'Or from an address' }), 'http://10.0.0.1/x.json');
    await userEvent.click(screen.getByRole('button', { name: 'Import' }));
    expect(await screen.findByText('it is not on the public internet')).toBeVisible();
    expect(c.asked[0]?.body).toEqual({ url: 'http://10.0.0.1/x.json' });
  });
});
