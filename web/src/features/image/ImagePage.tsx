import { Anchor, Button, Menu, Tabs } from '@mantine/core';
import { IconDownload, IconPhoto, IconRocket } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useRef, useState } from 'react';
import { Link, useLocation, useParams, useSearchParams } from 'wouter';
import { address, call, keys, putIcon, useCan, type View } from '@/api';
import { ImageIcon } from '@/parts';
import { t } from '@/text';
import { ConfirmByName, ErrorPage, Form, FormEnd, notifyDone, notifyError, PageHeader, PageSkeleton, TabList, useSubmit } from '@/ui';
import { definitionOf, partOf, parts, trimmed, type Definition, type PartName } from './definition';
import { General } from './General';
import { Install } from './Install';
import { Patches } from './Patches';
import { Presets } from './Presets';
import { Start } from './Start';
import { Update } from './Update';
import { Variables } from './Variables';
import css from './image.module.css';

export default function ImagePage() {
  const { id } = useParams<{ id?: string }>();
  const image = useQuery({ queryKey: keys.images(id ?? 'new'), queryFn: () => call('get', '/api/v1/images/{id}', { path: { id: id ?? '' } }), enabled: !!id });
  if (image.error) return <ErrorPage error={image.error} retry={() => void image.refetch()} />;
  if (id && !image.data) return <PageSkeleton />;
  return (
    <>
      <Head image={image.data} />
      <Editor key={image.data?.updated_at ?? 'new'} image={image.data} />
    </>
  );
}

type Image = View<'ImageView'> | undefined;

function Head({ image }: { image: Image }) {
  const may = useCan();
  return (
    <PageHeader
      title={image?.name ?? t('image.add')}
      beside={image && <ImageIcon key={image.updated_at} image={image} size={28} />}
      crumb={
        <Anchor component={Link} href="/images">
          {t('image.title')}
        </Anchor>
      }
      actions={
        image && (
          <>
            {may('instances.write') && (
              <Button component={Link} href={`/instances/new?image=${image.id}`} leftSection={<IconRocket size={16} aria-hidden />}>
                {t('deploy.submit')}
              </Button>
            )}
            {may('images.write') && image.source?.update_url && <Update image={image} />}
            <ExportMenu id={image.id} />
            {may('images.write') && <IconMenu image={image} />}
            {may('images.write') && <Delete image={image} />}
          </>
        )
      }
    />
  );
}

const exports = [
  { label: 'image.exportJson', query: { format: 'PLCN_v3' } },
  { label: 'image.exportYaml', query: { format: 'PLCN_v3', as: 'yaml' } },
  { label: 'image.exportClassic', query: { format: 'classic' } },
] as const;

/** The image as a file, in the formats that others read. */
function ExportMenu({ id }: { id: string }) {
  return (
    <Menu>
      <Menu.Target>
        <Button leftSection={<IconDownload size={16} aria-hidden />}>{t('image.export')}</Button>
      </Menu.Target>
      <Menu.Dropdown>
        {exports.map(({ label, query }) => (
          <Menu.Item key={label} component="a" href={address('/api/v1/images/{id}/export', { id }, query)} download>
            {t(label)}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

function IconMenu({ image }: { image: View<'ImageView'> }) {
  const input = useRef<HTMLInputElement>(null);
  const client = useQueryClient();
  const run = (what: Promise<unknown>) => void what.then(() => client.invalidateQueries({ queryKey: keys.images() })).catch(notifyError);
  return (
    <>
      <Menu>
        <Menu.Target>
          <Button leftSection={<IconPhoto size={16} aria-hidden />}>{t('image.icon')}</Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item onClick={() => input.current?.click()}>{t('image.iconChoose')}</Menu.Item>
          {image.icon && (
            <Menu.Item color="red" onClick={() => run(call('delete', '/api/v1/images/{id}/icon', { path: { id: image.id } }))}>
              {t('image.iconRemove')}
            </Menu.Item>
          )}
        </Menu.Dropdown>
      </Menu>
      <input
        ref={input}
        type="file"
        hidden
        aria-label={t('image.iconChoose')}
        accept="image/png,image/jpeg,image/webp,image/gif,image/svg+xml"
        onChange={(e) => {
          const file = e.currentTarget.files?.[0];
          e.currentTarget.value = '';
          if (file) run(putIcon(image.id, file));
        }}
      />
    </>
  );
}

function Delete({ image }: { image: View<'ImageView'> }) {
  const [asking, setAsking] = useState(false);
  const [, go] = useLocation();
  const client = useQueryClient();
  return (
    <>
      <Button color="red" variant="light" onClick={() => setAsking(true)}>
        {t('common.delete')}
      </Button>
      <ConfirmByName
        opened={asking}
        onClose={() => setAsking(false)}
        title={t('image.deleteTitle', { name: image.name })}
        name={image.name}
        confirm={t('common.delete')}
        run={async () => {
          await call('delete', '/api/v1/images/{id}', { path: { id: image.id } });
          go('/images');
          await client.invalidateQueries({ queryKey: keys.images('list') });
        }}
      >
        {t('image.deleteText')}
      </ConfirmByName>
    </>
  );
}

const names = Object.keys(parts) as PartName[];

function Editor({ image }: { image: Image }) {
  const [name, setName] = useState(image?.name ?? '');
  const [def, setDef] = useState<Definition>(() => (image ? definitionOf(image) : { references: [] }));
  const [params, setParams] = useSearchParams();
  const [, go] = useLocation();
  const client = useQueryClient();
  const may = useCan()('images.write');
  const set = (change: Partial<Definition>) => setDef((before) => ({ ...before, ...change }));
  const open = (tab: string | null) => setParams(tab && tab !== 'general' ? { tab } : {}, { replace: true });
  const submit = useSubmit(async () => {
    const definition = trimmed(def);
    const saved = image
      ? await call('patch', '/api/v1/images/{id}', { path: { id: image.id }, body: { ...(name === image.name ? {} : { name }), definition } })
      : await call('post', '/api/v1/images', { body: { name, ...definition } });
    notifyDone(t('image.saved'));
    await client.invalidateQueries({ queryKey: keys.images() });
    if (!image) go(`/images/${saved.id}`);
  }, (field) => partOf(field) !== undefined);
  const wrong = new Set(Object.keys(submit.fields).map(partOf));
  const asked = params.get('tab') ?? 'general';
  // What is wrong has to be seen: its part comes forward until another is chosen.
  const [seen, setSeen] = useState<unknown>();
  const fields = Object.keys(submit.fields).join();
  const first = names.find((each) => wrong.has(each));
  if (fields !== seen) {
    setSeen(fields);
    if (first && !wrong.has(asked as PartName)) open(first);
  }
  const part = { def, set, submit };
  return (
    <>
      <Tabs value={asked} onChange={open}>
        <TabList open={asked}>
          {names.map((each) => (
            <Tabs.Tab key={each} value={each} rightSection={wrong.has(each) ? <span className={css.dot} role="img" aria-label={t('image.partWrong')} /> : undefined}>
              {t(`image.part_${each}`)}
            </Tabs.Tab>
          ))}
          {image && <Tabs.Tab value="presets">{t('preset.title')}</Tabs.Tab>}
        </TabList>
        <Form noValidate hidden={asked === 'presets'} run={() => may && submit.run()}>
          <fieldset disabled={!may} style={{ border: 0, margin: 0, padding: 0, minWidth: 0 }}>
            <Tabs.Panel value="general">
              <General {...part} name={name} setName={setName} />
            </Tabs.Panel>
            <Tabs.Panel value="start">
              <Start {...part} />
            </Tabs.Panel>
            <Tabs.Panel value="variables">
              <Variables {...part} />
            </Tabs.Panel>
            <Tabs.Panel value="files">
              <Patches {...part} />
            </Tabs.Panel>
            <Tabs.Panel value="install" keepMounted={false}>
              <Install {...part} may={may} />
            </Tabs.Panel>
          </fieldset>
          {may && (
            <FormEnd submit={submit} cancel="/images" apart>
              {t('common.save')}
            </FormEnd>
          )}
        </Form>
        {image && (
          <Tabs.Panel value="presets" keepMounted={false}>
            <Presets image={image} />
          </Tabs.Panel>
        )}
      </Tabs>
    </>
  );
}
