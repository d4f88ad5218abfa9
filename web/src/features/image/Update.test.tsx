import { screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { View } from '@/api';
import { speak } from '@/text';
import { controller, show } from '../../../tests/render';
import { Update } from './Update';

const image = { id: 'i1', name: 'Echo', source: { format: 'PLCN_v3', update_url: 'https://eggs.example/echo.json' } } as View<'ImageView'>;
const press = () => userEvent.click(screen.getByRole('button', { name: 'Update from its address' }));

describe('the update of an image', () => {
  beforeAll(() => speak('en'));
  afterEach(() => vi.unstubAllGlobals());

  it('tells what became of it', async () => {
    const c = controller({
      'POST /api/v1/images/i1/update': { data: { file: 'https://eggs.example/echo.json', status: 'updated', format: 'PLCN_v3', name: 'Echo', image_id: 'i1', changes: ['references: example/echo:1 stays, for instances run it'], ignored: [], error: '' } },
    });
    vi.stubGlobal('fetch', c.fetch);
    show(<Update image={image} />);
    await press();
    const report = await screen.findByRole('list', { name: 'Report' });
    expect(within(report).getByText('Updated')).toBeVisible();
    expect(within(report).getByText('references: example/echo:1 stays, for instances run it')).toBeVisible();
    expect(c.asked.map((each) => each.call)).toEqual(['POST /api/v1/images/i1/update']);
  });

  it('shows no report of what failed', async () => {
    const c = controller({ 'POST /api/v1/images/i1/update': { status: 409, error: { code: 'CONFLICT', message: 'it holds another image now' } } });
    vi.stubGlobal('fetch', c.fetch);
    show(<Update image={image} />);
    await press();
    await waitFor(() => expect(screen.getByRole('button', { name: 'Update from its address' })).toBeEnabled());
    expect(c.asked).toHaveLength(1);
    expect(screen.queryByRole('list', { name: 'Report' })).toBeNull();
  });
});
