"""
Memories as a Parquet file, which pandas, Polars, DuckDB and PyArrow read too; and back.

One row is one memory, in the order in which they were stored:

| column | type | |
|---|---|---|
| id | string | of its own, kept by an import |
| timestamp | double | of the source frame, Unix time [s] |
| x, y, z | double | position in the map frame [m] |
| qx, qy, qz, qw | double | orientation, body frame to map frame, unit length |
| h3_cell | string | hexadecimal; an import makes it from x and y where it is left out |
| vector | fixed_size_list<float>[z_dim] | latent |
| action | list<float> | the action that led here; empty or null: not known |
| session, robot, map_id | string | empty: not named |
| labels | list<string> | |
| thumbnail | binary | JPEG; null: none; left out without thumbnails |

The file's metadata (`pyarrow.parquet.read_schema(f).metadata`, DuckDB's `parquet_kv_metadata`):
`spatial_rag.format` "1"; `spatial_rag.spec`, a JSON object of z_dim, action_dim, h3_resolution,
datum_latitude_deg, datum_longitude_deg, datum_heading_deg and map_frame; `spatial_rag.model_id`,
the author of the latents. An import needs the last two, but a memory file that is there already
stands in for what they do not tell. To set them, in PyArrow:
`table.replace_schema_metadata({'spatial_rag.spec': '{"z_dim": 32, …}', …})`.

An import takes lists of any kind, float or double, and leaves columns alone that it does not
know; session, robot, map_id, labels, action, h3_cell and thumbnail may be missing.
"""

from spatial_rag_core.memory.parquet.exporting import export_parquet
from spatial_rag_core.memory.parquet.importing import import_parquet, ImportReport

__all__ = ['ImportReport', 'export_parquet', 'import_parquet']
