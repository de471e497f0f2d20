"""The bank's edits as preference pairs: TRL's DPOTrainer reads them as they are exported, and one step changes the adapter."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from database import Database
from feedback import bank, export
from feedback.choice import EVERYTHING
from feedback.models.bank import EditIn
from recruiter.rubric import load_rubric
from tests.conftest import MakeRole, known
from tests.engines.trl_oracle import save_tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:.*(deprecated|experimental)")


def test_one_step_of_dpo_on_the_edits_of_the_bank(role: MakeRole, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'feedback.db'}")
    database.upgrade()
    with database.write() as c:
        for number in range(2):
            key, _ = bank.keep(c, bank.Kept(role(number), f"How does queue {number} work?"), None, time.time())
            bank.edit(
                c, key, EditIn(version=1, text=f"Queue {number} grows at night. Where do you look?"), None, time.time()
            )
    pieces = export.export(database, load_rubric(), "parquet", "preferences", EVERYTHING)
    data = Dataset(pq.read_table(io.BytesIO(b"".join(pieces))))
    database.close()
    assert len(data) == 2

    save_tiny_model("qwen3", tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    settings = DPOConfig(
        str(tmp_path / "out"), max_steps=1, per_device_train_batch_size=2, learning_rate=1e-2, lr_scheduler_type="constant",
        report_to="none", use_cpu=True, bf16=False, save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    trainer = DPOTrainer(
        model, args=settings, train_dataset=data, processing_class=AutoTokenizer.from_pretrained(tmp_path / "model"),
        peft_config=LoraConfig(r=4, target_modules="all-linear"),
    )  # fmt: skip
    loss = trainer.train().training_loss
    assert loss == pytest.approx(
        torch.log(torch.tensor(2.0)).item(), abs=1e-3
    )  # nothing is preferred before the first step
    changed = [
        float(value.detach().abs().max()) for name, value in known(trainer.model).named_parameters() if "lora_B" in name
    ]
    assert min(changed) > 0
